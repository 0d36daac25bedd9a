package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/osmoslice/osmoslice/internal/senml"
)

// maxRecords bounds the readings of one message.
const maxRecords = 2000

// maxText bounds a name or a text value of one reading.
const maxText = 16 << 10

// format is how a payload is written.
type format int

const (
	formatAuto  format = iota // SenML or a JSON object, told apart by its first byte
	formatPlain               // one value as text
	formatJSON                // application/json: an object or, on a resource, a value
	formatSenML               // SenML JSON or CBOR
)

var errMediaType = errors.New("media type: allowed: application/senml+json, application/senml+cbor, application/json, text/plain, application/octet-stream")

// formatOf reads a media type; none given is formatAuto without and
// formatPlain with a resource in the path.
func formatOf(mediaType, resource string) (format, error) {
	if mediaType != "" {
		t, _, err := mime.ParseMediaType(mediaType)
		if err != nil {
			return 0, errMediaType
		}
		switch t {
		case senml.MediaTypeJSON, senml.MediaTypeCBOR:
			return formatSenML, nil
		case "application/json":
			return formatJSON, nil
		case "text/plain", "application/octet-stream", "application/x-www-form-urlencoded": // curl -d sends the last
		default:
			return 0, errMediaType
		}
	}
	if resource == "" {
		return formatAuto, nil
	}
	return formatPlain, nil
}

// limitsFor bounds the SenML decoder by the payload that was let in.
func limitsFor(payload []byte) senml.Limits {
	return senml.Limits{Bytes: max(len(payload), 1), Records: maxRecords, Text: maxText}
}

// normalise reads one message of d into records whose Name is the resource's
// and whose Time is absolute. Readings the device may not send are left out
// and counted; an error means that nothing could be read.
func normalise(d *device, resource string, f format, payload []byte, now time.Time, past, future time.Duration) ([]senml.Record, tally, error) {
	var pack senml.Pack
	var err error
	switch {
	case f == formatPlain:
		pack, err = plain(d, resource, payload, now)
	case f == formatSenML || f == formatAuto && !looksLikeObject(payload):
		pack, err = fromSenML(d, resource, payload, now)
	default:
		pack, err = fromJSON(resource, payload, now)
	}
	if err != nil {
		return nil, tally{}, err
	}
	return admit(d, pack, now, past, future)
}

// looksLikeObject tells a JSON object from SenML JSON (an array) and CBOR.
func looksLikeObject(payload []byte) bool {
	b := bytes.TrimLeft(payload, " \t\r\n")
	return len(b) > 0 && b[0] == '{'
}

// fromSenML decodes and resolves a pack and cuts the device's prefix off its
// names; a record without a name on a resource path is that resource.
func fromSenML(d *device, resource string, payload []byte, now time.Time) (senml.Pack, error) {
	pack, err := senml.Decode(payload, limitsFor(payload))
	if err != nil {
		return nil, err
	}
	for i := range pack {
		if resource != "" && pack[i].Name == "" && pack[i].BaseName == "" {
			pack[i].Name = resource
		}
	}
	if pack, err = senml.Resolve(pack, now); err != nil {
		return nil, err
	}
	for i := range pack {
		if rest, ok := strings.CutPrefix(pack[i].Name, d.Name); ok && len(rest) > 1 && (rest[0] == ':' || rest[0] == '/') {
			pack[i].Name = rest[1:]
		}
	}
	return pack, nil
}

// plain reads one value written as text, by the resource's type.
func plain(d *device, resource string, payload []byte, now time.Time) (senml.Pack, error) {
	kind := ""
	if r := d.resources[resource]; r != nil {
		kind = r.kind()
	}
	if len(payload) > maxText {
		return nil, bad("payload", fmt.Sprintf("%d bytes", len(payload)), fmt.Sprintf("at most %d bytes of a plain value", maxText))
	}
	rec := senml.Record{Name: resource, Time: senml.Seconds(now)}
	if kind == "data" {
		rec.Value = senml.Bytes(payload)
		return senml.Pack{rec}, nil
	}
	if !utf8.Valid(payload) {
		return nil, bad("payload", "bytes that are not UTF-8", "text")
	}
	rec.Value = scalar(strings.TrimSpace(string(payload)), kind)
	if kind == "string" || rec.Value.Kind() == senml.Text {
		rec.Value = senml.String(string(payload))
	}
	return senml.Pack{rec}, nil
}

// scalar reads s as the kind says, or as what it looks like when the kind is
// not known. What does not fit stays a string, and is dropped by its type.
func scalar(s, kind string) senml.Value {
	if kind == "" || kind == "number" {
		if v, err := strconv.ParseFloat(s, 64); err == nil && !math.IsInf(v, 0) && !math.IsNaN(v) {
			return senml.Float(v)
		}
	}
	if kind == "" || kind == "boolean" {
		switch s {
		case "true":
			return senml.Bool(true)
		case "false":
			return senml.Bool(false)
		}
	}
	if kind == "boolean" {
		switch strings.ToLower(s) {
		case "1", "on", "true":
			return senml.Bool(true)
		case "0", "off", "false":
			return senml.Bool(false)
		}
	}
	return senml.String(s)
}

// fromJSON reads an object of resources and values, or one value for resource.
func fromJSON(resource string, payload []byte, now time.Time) (senml.Pack, error) {
	at := senml.Seconds(now)
	decoder := json.NewDecoder(bytes.NewReader(payload))
	if resource != "" {
		token, err := decoder.Token()
		if err != nil {
			return nil, bad("payload", "text that is not JSON", "a JSON value")
		}
		v, ok := senml.ValueOf(token)
		if !ok || decoder.More() {
			return nil, bad("payload", "a JSON value with structure", "a number, string or boolean")
		}
		return senml.Pack{{Name: resource, Value: v, Time: at}}, nil
	}
	if token, err := decoder.Token(); err != nil || token != json.Delim('{') {
		return nil, bad("payload", "text that is no JSON object", `an object like {"temperature":21.5}`)
	}
	var pack senml.Pack
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, bad("payload", "text that is not JSON", "a JSON object")
		}
		name := key.(string) // a key is a string, or Token fails
		token, err := decoder.Token()
		if err != nil {
			return nil, bad("payload", "text that is not JSON", "a JSON object")
		}
		v, ok := senml.ValueOf(token)
		if !ok {
			return nil, bad(fmt.Sprintf("payload.%.40q", name), "a value that is no number, string or boolean", "number, string, boolean")
		}
		if len(pack) == maxRecords {
			return nil, bad("payload", fmt.Sprintf("more than %d fields", maxRecords), fmt.Sprintf("at most %d", maxRecords))
		}
		pack = append(pack, senml.Record{Name: name, Value: v, Time: at})
	}
	if _, err := decoder.Token(); err != nil {
		return nil, bad("payload", "an object without an end", "a JSON object")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, bad("payload", "more than one JSON value", "one JSON object")
	}
	if len(pack) == 0 {
		return nil, bad("payload", "an empty object", "at least one field")
	}
	return pack, nil
}

// admit keeps the readings that the device may send, with the unit of the
// resource, and counts the others.
func admit(d *device, pack senml.Pack, now time.Time, past, future time.Duration) ([]senml.Record, tally, error) {
	var dropped tally
	earliest, latest := senml.Seconds(now.Add(-past)), senml.Seconds(now.Add(future))
	kept := pack[:0:len(pack)]
	for i := range pack {
		rec := pack[i]
		r := d.resources[rec.Name]
		switch {
		case d.resources != nil && r == nil || !validName(rec.Name, 64):
			dropped[droppedUnknown]++
		case rec.Time < earliest || rec.Time > latest:
			dropped[droppedTime]++
		case r != nil && rec.Value.Kind().String() != r.kind() || r == nil && rec.Value.Kind() == senml.None:
			dropped[droppedType]++
		case rec.Value.Kind() == senml.Text && len(rec.Value.Text()) > maxText:
			dropped[droppedType]++
		default:
			if r != nil {
				rec.Unit = r.Unit
			}
			kept = append(kept, rec)
		}
	}
	return kept, dropped, nil
}
