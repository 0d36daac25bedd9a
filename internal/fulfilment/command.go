package fulfilment

import (
	"context"
	"fmt"
	"slices"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// commander finds the gateway of a device and who can send it commands.
func (s *Service) commander(ctx context.Context, deviceID string) (*slice.Device, platform.Access, platform.Commander, error) {
	var d *slice.Device
	var at platform.Access
	var able Platform
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) error {
		r, err := owned(ctx, tx, slice.KindIoTDevice, deviceID)
		if err != nil {
			return err
		}
		d, _ = r.(*slice.Device)
		g, err := tx.ByName(ctx, slice.KindIoTGateway, d.Tenant, d.Slice, d.Gateway)
		if err != nil {
			return err
		}
		e, _ := g.(*slice.Element)
		at, able, err = s.access(ctx, tx, e, e.Run)
		return err
	})
	if err != nil {
		return nil, at, nil, err
	}
	c, ok := able.Gateway.(platform.Commander)
	if !ok {
		return nil, at, nil, fault.New(fault.Conflict, "gateway %q cannot send commands down", d.Gateway)
	}
	return d, at, c, nil
}

// SendCommand sends a value down to a device through its gateway and answers
// the command's id and state.
func (s *Service) SendCommand(ctx context.Context, deviceID string, c CommandOrder) (string, platform.CommandState, error) {
	if err := require(ctx, operates); err != nil {
		return "", "", err
	}
	d, at, to, err := s.commander(ctx, deviceID)
	if err != nil {
		return "", "", err
	}
	if !slices.ContainsFunc(d.Actions, func(a slice.Action) bool { return a.Name == c.Action }) {
		names := make([]string, 0, len(d.Actions))
		for _, a := range d.Actions {
			names = append(names, a.Name)
		}
		return "", "", fault.Field("action", c.Action, fmt.Sprintf("an action of the device: %v", names))
	}
	switch c.Value.(type) {
	case float64, string, bool, []byte:
	default:
		return "", "", fault.Field("value", fmt.Sprintf("%T", c.Value), "a number, a string, a boolean or data")
	}
	id := firstOf(c.ID, s.c.NewID())
	state, err := to.Send(ctx, at, platform.Command{ID: id, Device: d.Name, Resource: c.Action, Value: c.Value})
	return id, state, err
}

// CommandState answers how far a command came.
func (s *Service) CommandState(ctx context.Context, deviceID, commandID string) (platform.CommandState, error) {
	if err := require(ctx, operates); err != nil {
		return "", err
	}
	_, at, to, err := s.commander(ctx, deviceID)
	if err != nil {
		return "", err
	}
	return to.CommandState(ctx, at, commandID)
}
