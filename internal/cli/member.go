package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/osmoslice/osmoslice/models"
)

// gatewayVerbs: attach makes a gateway feed a server of its slice.
func gatewayVerbs(s *session, n *noun) []*cobra.Command {
	c := &cobra.Command{
		Use: "attach GATEWAY --server SERVER", Short: "Make a gateway feed a server of its slice, without restart",
		Args: args(1, 1, "the name or id of a gateway"),
	}
	parent := s.parentFlag(c, n, false)
	c.ValidArgsFunction = s.completeNames(n, parent)
	to := ""
	// --server of the root is the service's URL; here it is the IoT server.
	c.Flags().StringVar(&to, "server", "", "the IoT server, by name")
	change := changeFlagsOn(c, true)
	c.RunE = func(cmd *cobra.Command, a []string) error {
		if to == "" {
			return usagef("--server is missing: which IoT server shall it feed?")
		}
		return s.patch(cmd.Context(), n, *parent, a[0], map[string]any{"iotServer": to}, change)
	}
	return []*cobra.Command{c}
}

// deviceVerbs: command sends a value down to a device.
func deviceVerbs(s *session, n *noun) []*cobra.Command {
	c := &cobra.Command{
		Use: "command DEVICE ACTION VALUE", Short: "Send a value down to a device's action",
		Long: "Send a value down to a device's action. VALUE is JSON (21.5, true, \"on\") or a plain word.\n" +
			"With --wait until it is DELIVERED, FAILED or EXPIRED.",
		Args: args(3, 3, "a device, an action and a value"),
	}
	parent := s.parentFlag(c, n, false)
	c.ValidArgsFunction = s.completeNames(n, parent)
	change := changeFlagsOn(c, false)
	c.RunE = func(cmd *cobra.Command, a []string) error {
		return s.command(cmd.Context(), n, *parent, a[0], a[1], scalar(a[2]), change)
	}
	state := &cobra.Command{
		Use: "command-state DEVICE COMMAND", Short: "Show how far a command came", Args: args(2, 2, "a device and the id of a command"),
	}
	stateParent := s.parentFlag(state, n, false)
	state.RunE = func(cmd *cobra.Command, a []string) error {
		ctx, cancel := s.within(cmd.Context(), callTimeout)
		defer cancel()
		id, err := s.member(ctx, n, *stateParent, a[0])
		if err != nil {
			return err
		}
		body, err := s.commandState(ctx, id, a[1])
		if err != nil {
			return err
		}
		return s.printOne(commandColumns, body)
	}
	return []*cobra.Command{c, state}
}

var commandColumns = []column{{"ID", "id", false}, {"ACTION", "action", false}, {"STATE", "state", false}, {"CAUSE", "cause", false}}

// member finds the id of a member, in a slice when one is named.
func (s *session) member(ctx context.Context, n *noun, parent, ref string) (string, error) {
	parentID, err := s.parentID(ctx, n, parent, false)
	if err != nil {
		return "", err
	}
	return s.id(ctx, n, parentID, ref)
}

func (s *session) commandState(ctx context.Context, device, id string) (json.RawMessage, error) {
	w, err := s.wire()
	if err != nil {
		return nil, err
	}
	a, err := w.do(ctx, call{method: http.MethodGet, path: "/iotDevices/{device}/commands/{id}", ids: []string{device, id}})
	if err != nil {
		return nil, err
	}
	return a.body, nil
}

func (s *session) command(ctx context.Context, n *noun, parent, device, action string, value any, change *changeFlags) error {
	w, err := s.wire()
	if err != nil {
		return err
	}
	ctx, cancel := s.within(ctx, callTimeout)
	defer cancel()
	id, err := s.member(ctx, n, parent, device)
	if err != nil {
		return err
	}
	a, err := w.do(ctx, change.on(call{
		method: http.MethodPost, path: "/iotDevices/{device}/commands", ids: []string{id},
		body: map[string]any{"action": action, "value": value},
	}))
	if err != nil {
		return err
	}
	body := a.body
	for s.flags.wait && !change.dryRun {
		var c models.Command
		if err := json.Unmarshal(body, &c); err != nil {
			return fmt.Errorf("the service answered no command: %w", err)
		}
		if c.State != models.CommandStatePENDING {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("command %s is still %s: %w", c.ID, c.State, context.Cause(ctx))
		case <-time.After(watchEvery):
		}
		if body, err = s.commandState(ctx, id, c.ID); err != nil {
			return err
		}
	}
	if err := s.printOne(commandColumns, body); err != nil {
		return err
	}
	var c models.Command
	if json.Unmarshal(body, &c) == nil && (c.State == models.CommandStateFAILED || c.State == models.CommandStateEXPIRED) {
		return exitError{code: exitOperation, error: fmt.Errorf("command %s: %s %s", c.ID, c.State, clean(c.Cause))}
	}
	return nil
}

// createDevices posts many devices of one slice in one call.
func (s *session) createDevices(ctx context.Context, parent string, bodies []map[string]any, change *changeFlags) error {
	n := nounOf("device")
	for _, b := range bodies {
		ref, err := parentOf(n, b, parent)
		if err != nil {
			return err
		}
		if parent != "" && ref != parent {
			return usagef("the devices of one file must belong to one slice; found %q and %q", parent, ref)
		}
		parent = ref
	}
	w, err := s.wire()
	if err != nil {
		return err
	}
	short, cancel := s.within(ctx, callTimeout)
	defer cancel()
	sliceID, err := s.parentID(short, n, parent, true)
	if err != nil {
		return err
	}
	a, err := w.do(short, change.on(call{
		method: http.MethodPost, path: "/iotSlices/{id}/iotDevices/bulk", ids: []string{sliceID},
		body: map[string]any{"iotDevices": bodies},
	}))
	if err != nil {
		return err
	}
	if change.dryRun {
		if s.structured() {
			if err := s.printDocument(a.body); err != nil {
				return err
			}
		}
		return s.showPlan(ctx, n, "created", a.body)
	}
	return s.bulkDone(ctx, n, a)
}

func (s *session) bulkDone(ctx context.Context, n *noun, a *answer) error {
	var result struct{ IotDevices []json.RawMessage }
	if err := json.Unmarshal(a.body, &result); err != nil {
		return fmt.Errorf("the service answered no devices: %w", err)
	}
	if op := a.operation(); op != "" {
		s.note("%d devices accepted: operation %s", len(result.IotDevices), op)
		if s.flags.wait {
			if err := s.watch(ctx, op); err != nil {
				return err
			}
		}
	}
	if s.structured() {
		return s.printList(n.columns, result.IotDevices)
	}
	for _, row := range result.IotDevices {
		s.tell(n, "created", &answer{status: http.StatusCreated, body: row})
	}
	return nil
}
