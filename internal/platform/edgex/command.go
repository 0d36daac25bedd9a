package edgex

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"strconv"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/httpcall"
)

// commandSlots bounds what the keeper holds of commands.
const commandSlots = 1024

// sent is what the keeper remembers of one command.
type sent struct {
	ID       string                `json:"id"`
	Device   string                `json:"device"`
	Resource string                `json:"resource"`
	Value    string                `json:"value"`
	State    platform.CommandState `json:"state"`
}

func slotOf(id string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id))
	return kvs + "osmoslice/commands/" + strconv.Itoa(int(h.Sum32()%commandSlots))
}

// Send writes a value to a device's resource. Core-command answers when the
// device service has done it; a device that refuses or does not answer makes
// the command FAILED.
func (g *Gateway) Send(ctx context.Context, a platform.Access, c platform.Command) (platform.CommandState, error) {
	text, err := commandText(c.Value)
	if err != nil {
		return "", err
	}
	now := sent{c.ID, c.Device, c.Resource, text, platform.CommandPending}
	was, err := g.sent(ctx, a, c.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return "", err
	}
	if err == nil {
		state := was.State
		if was.State = now.State; was != now {
			return "", fault.New(fault.Conflict, "command %q was sent before with another content", c.ID)
		}
		if state != platform.CommandPending {
			return state, nil
		}
	}
	if _, _, err := g.want(ctx, a, httpcall.Call{Endpoint: "command", Method: http.MethodGet, Path: byName("device", c.Device)}); err != nil {
		return "", err
	}
	if err := g.remember(ctx, a, now); err != nil {
		return "", err
	}
	o, _, err := g.call(ctx, a, httpcall.Call{
		Endpoint: "command", Method: http.MethodPut, Path: byName("device", c.Device) + "/" + url.PathEscape(c.Resource),
		Body: map[string]string{c.Resource: text},
	})
	switch {
	case err != nil:
		return "", err
	case o.Status/100 == 2:
		now.State = platform.CommandDelivered
	case o.Status/100 == 4:
		now.State = platform.CommandFailed
		if err := g.remember(ctx, a, now); err != nil {
			return "", err
		}
		return "", g.fault(o)
	default:
		now.State = platform.CommandFailed
	}
	return now.State, g.remember(ctx, a, now)
}

// commandText is a value as EdgeX's commands carry them: all are texts.
func commandText(value any) (string, error) {
	switch v := value.(type) {
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case []byte:
		return base64.StdEncoding.EncodeToString(v), nil
	}
	return "", fault.Field("value", fmt.Sprintf("%T", value), "a number, string, boolean or bytes")
}

// CommandState answers how far a command came.
func (g *Gateway) CommandState(ctx context.Context, a platform.Access, id string) (platform.CommandState, error) {
	s, err := g.sent(ctx, a, id)
	return s.State, err
}

func (g *Gateway) remember(ctx context.Context, a platform.Access, s sent) error {
	b, err := json.Marshal(s)
	if err != nil {
		return fault.New(fault.Invalid, "command %q cannot be written", s.ID).Because(err)
	}
	_, _, err = g.want(ctx, a, httpcall.Call{Endpoint: "keeper", Method: http.MethodPut, Path: slotOf(s.ID), Body: map[string]string{"value": string(b)}})
	return err
}

// sent reads what the keeper has of a command, or fault.NotFound.
func (g *Gateway) sent(ctx context.Context, a platform.Access, id string) (s sent, err error) {
	o, body, err := g.want(ctx, a, httpcall.Call{Endpoint: "keeper", Method: http.MethodGet, Path: slotOf(id) + "?plaintext=true"}, http.StatusNotFound)
	if err != nil {
		return s, err
	}
	var list struct {
		Response []struct {
			Value string `json:"value"`
		} `json:"response"`
	}
	if o.Status == http.StatusOK && json.Unmarshal(body, &list) == nil && len(list.Response) > 0 {
		text := []byte(list.Response[0].Value)
		if plain, err := base64.StdEncoding.DecodeString(string(text)); err == nil {
			text = plain // a keeper that does not answer in plain text
		}
		if json.Unmarshal(text, &s) == nil && s.ID == id {
			return s, nil
		}
	}
	return sent{}, fault.Absent("command", id)
}
