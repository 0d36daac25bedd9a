package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/edgexfoundry/app-functions-sdk-go/v4/pkg/interfaces"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/common"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/dtos"
)

// record is a SenML record (RFC 8428 §4) as JSON.
type record struct {
	BaseName string   `json:"bn,omitempty"`
	BaseTime float64  `json:"bt,omitempty"`
	Name     string   `json:"n"`
	Unit     string   `json:"u,omitempty"`
	Time     float64  `json:"t,omitempty"`
	Value    *float64 `json:"v,omitempty"`
	Text     *string  `json:"vs,omitempty"`
	Bool     *bool    `json:"vb,omitempty"`
	Data     *string  `json:"vd,omitempty"`
}

// toSenML is the pipeline's first function: an event becomes a SenML pack. An
// event of which nothing is left ends the pipeline without error.
func (f *filter) toSenML(ctx interfaces.AppFunctionContext, data any) (bool, any) {
	event, ok := data.(dtos.Event)
	if !ok {
		return false, fmt.Errorf("the pipeline got %T, not an event", data)
	}
	pack, skipped := f.pack(event)
	for _, s := range skipped {
		ctx.LoggingClient().Warnf("device %q: %s", event.DeviceName, s)
	}
	if len(pack) == 0 {
		return false, nil
	}
	payload, err := json.Marshal(pack)
	if err != nil {
		return false, fmt.Errorf("device %q: %w", event.DeviceName, err)
	}
	return true, payload
}

// pack makes the records, and says what could not become one.
func (f *filter) pack(event dtos.Event) (pack []record, skipped []string) {
	base := float64(event.Origin) / 1e9
	for _, r := range event.Readings {
		rec := record{Name: senmlName(r.ResourceName), Unit: r.Units}
		if err := rec.set(r); err != nil {
			skipped = append(skipped, fmt.Sprintf("resource %q: %v", r.ResourceName, err))
			continue
		}
		if rec.Value != nil && len(r.Tags) > 0 {
			at, value, ok := f.pass(event.DeviceName+":"+r.ResourceName, rulesOf(r.Tags), base, *rec.Value)
			if !ok {
				continue
			}
			*rec.Value, rec.Time = value, at-base
		}
		pack = append(pack, rec)
	}
	if len(pack) > 0 {
		pack[0].BaseName, pack[0].BaseTime = senmlName(event.DeviceName)+":", base
	}
	return pack, skipped
}

// set reads a reading's value by its type.
func (rec *record) set(r dtos.BaseReading) error {
	switch {
	case r.IsNull():
		return fmt.Errorf("the value is null")
	case r.ValueType == common.ValueTypeBinary:
		data := base64.RawURLEncoding.EncodeToString(r.BinaryValue)
		rec.Data = &data
	case r.ValueType == common.ValueTypeObject || r.ValueType == common.ValueTypeObjectArray:
		b, err := json.Marshal(r.ObjectValue)
		if err != nil {
			return err
		}
		text := string(b)
		rec.Text = &text
	case r.ValueType == common.ValueTypeBool:
		b, err := strconv.ParseBool(r.Value)
		if err != nil {
			return fmt.Errorf("%q is no boolean", r.Value)
		}
		rec.Bool = &b
	case r.ValueType == common.ValueTypeString || strings.HasSuffix(r.ValueType, "Array"):
		text := strings.ToValidUTF8(r.Value, "\uFFFD")
		rec.Text = &text
	default: // integers and floats; EdgeX writes floats as "2.15e+01"
		v, err := strconv.ParseFloat(r.Value, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%q is no finite number, which is all that SenML has", r.Value)
		}
		rec.Value = &v
	}
	return nil
}

// senmlName makes a name of the characters that SenML allows (RFC 8428 §4.5.1);
// others become "_".
func senmlName(name string) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("-:./_", r):
			return r
		}
		return '_'
	}, name)
	if out == "" || strings.ContainsRune("-:./_", rune(out[0])) {
		out = "x" + out
	}
	return out
}
