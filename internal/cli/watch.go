package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/osmoslice/osmoslice/models"
)

const (
	watchEvery = 150 * time.Millisecond
	barWidth   = 24
)

// operationVerbs are what can be done with an operation.
func operationVerbs(s *session, n *noun) []*cobra.Command {
	watch := &cobra.Command{
		Use: "watch ID", Short: "Show an operation's steps as they run, until it is over",
		Long: "Show an operation's steps as they run, until it is over. " + operationRef,
		Args: args(1, 1, operationArgs),
		RunE: func(cmd *cobra.Command, a []string) error {
			ctx, cancel := s.within(cmd.Context(), callTimeout)
			defer cancel()
			id, err := s.operationID(ctx, a[0])
			if err != nil {
				return err
			}
			if err := s.watch(cmd.Context(), id); err != nil || !s.structured() {
				return err
			}
			again, cancel := s.within(cmd.Context(), callTimeout)
			defer cancel()
			row, err := s.fetch(again, n, "", id)
			if err != nil {
				return err
			}
			return s.printOne(n.columns, row)
		},
	}
	steps := &cobra.Command{
		Use: "steps ID", Short: "List an operation's steps", Args: args(1, 1, operationArgs),
		RunE: func(cmd *cobra.Command, a []string) error {
			ctx, cancel := s.within(cmd.Context(), callTimeout)
			defer cancel()
			id, err := s.operationID(ctx, a[0])
			if err != nil {
				return err
			}
			row, err := s.fetch(ctx, n, "", id)
			if err != nil {
				return err
			}
			var op struct{ Steps []json.RawMessage }
			if err := json.Unmarshal(row, &op); err != nil {
				return err
			}
			return s.printList(stepColumns, op.Steps)
		},
	}
	cmds := []*cobra.Command{watch, steps}
	for _, v := range []struct{ verb, short string }{
		{"retry", "Run a held operation's failed steps again"},
		{"rollback", "Undo a held operation"},
		{"fail", "Give a held operation up: nothing is undone, leftovers are listed"},
		{"continue", "Go on"},
		{"cancel", "Stop an operation; it is then undone or held"},
	} {
		cmds = append(cmds, s.signalCommand(n, v.verb, v.short))
	}
	return cmds
}

const (
	operationArgs = "the id of an operation, or the name of its slice"
	operationRef  = "A slice's name stands for the operation it is in, or was in last."
)

// operationID finds an operation by its id or by its slice's name.
func (s *session) operationID(ctx context.Context, ref string) (string, error) {
	if uuidRE.MatchString(ref) {
		return ref, nil
	}
	row, err := s.byName(ctx, nounOf("slice"), "", ref)
	if err != nil {
		return "", err
	}
	v, err := decoded(row)
	if err != nil {
		return "", err
	}
	id := first(textAt(v, "currentOperationId"), textAt(v, "lastOperationId"))
	if id == "" {
		return "", usagef("slice %s has had no operation", ref)
	}
	return id, nil
}

var stepColumns = []column{
	{"STEP", "id", false}, {"ACTION", "action", false}, {"TARGET", "targetName", false}, {"STATE", "state", false},
	{"ATTEMPT", "attempt", false}, {"INFRASTRUCTURE", "infrastructureId", true}, {"STARTED", "startTime", true},
	{"FINISHED", "finishTime", true}, {"PROGRESS", "progress", true}, {"ERROR", "error.detail", false},
}

func (s *session) signalCommand(n *noun, verb, short string) *cobra.Command {
	force := false
	c := &cobra.Command{Use: verb + " ID", Short: short, Long: short + ". " + operationRef, Args: args(1, 1, operationArgs)}
	change := changeFlagsOn(c, false)
	if verb == "cancel" {
		c.Flags().BoolVar(&force, "force", false, "interrupt running steps instead of waiting for them")
	}
	c.RunE = func(cmd *cobra.Command, a []string) error {
		w, err := s.wire()
		if err != nil {
			return err
		}
		ctx, cancel := s.within(cmd.Context(), callTimeout)
		defer cancel()
		id, err := s.operationID(ctx, a[0])
		if err != nil {
			return err
		}
		req := call{method: http.MethodPost, path: "/lcmOpOccs/{id}/" + verb, ids: []string{id}}
		if verb == "cancel" {
			mode := models.CancelRequestCancelModeGRACEFUL
			if force {
				mode = models.CancelRequestCancelModeFORCEFUL
			}
			req.body = models.CancelRequest{CancelMode: mode}
		}
		answer, err := w.do(ctx, change.on(req))
		if err != nil {
			return err
		}
		if !s.structured() {
			told := "accepted"
			if change.dryRun {
				told = "would be accepted"
			}
			fmt.Fprintf(s.Out, "%s of operation %s %s\n", verb, id, told)
		}
		if s.flags.wait && !change.dryRun {
			return s.watchAfter(cmd.Context(), id, entered(answer.body))
		}
		if s.structured() {
			return s.printOne(n.columns, answer.body)
		}
		return nil
	}
	return c
}

// watch shows an operation's steps until it is over or held by a person's
// choice; anything but COMPLETED is an error.
func (s *session) watch(ctx context.Context, id string) error { return s.watchAfter(ctx, id, "") }

// watchAfter is watch after a signal: the state that was entered at a time
// before (as it is written) is not yet what came of it.
func (s *session) watchAfter(ctx context.Context, id, before string) error {
	w, err := s.wire()
	if err != nil {
		return err
	}
	ctx, cancel := s.within(ctx, waitTimeout)
	defer cancel()
	v := s.newView()
	defer v.close()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	last := "not known"
	for {
		a, err := w.do(ctx, call{method: http.MethodGet, path: "/lcmOpOccs/{id}", ids: []string{id}})
		if err != nil && ctx.Err() != nil {
			v.close()
			return fmt.Errorf("operation %s is still %s: %w", id, last, context.Cause(ctx))
		}
		if err != nil {
			return err
		}
		op := &models.LcmOpOcc{}
		if err := json.Unmarshal(a.body, op); err != nil {
			return fmt.Errorf("the service answered no operation: %w", err)
		}
		last = op.OperationState
		if before != "" && op.StateEnteredTime != nil && op.StateEnteredTime.String() == before {
			op.OperationState = "" // nothing came of the signal yet
		} else {
			v.show(op)
		}
		if resting(op) {
			v.close()
			return s.conclude(ctx, op)
		}
		select {
		case <-ctx.Done(): // told above
		case <-tick.C:
		}
	}
}

// entered is when a held operation entered its state; "" when it is not held.
func entered(body json.RawMessage) string {
	op := &models.LcmOpOcc{}
	if json.Unmarshal(body, op) != nil || !resting(op) || op.StateEnteredTime == nil {
		return ""
	}
	return op.StateEnteredTime.String()
}

// resting reports whether nothing will happen by itself.
func resting(op *models.LcmOpOcc) bool {
	switch op.OperationState {
	case models.LcmOpOccOperationStateCOMPLETED, models.LcmOpOccOperationStatePARTIALLYCOMPLETED,
		models.LcmOpOccOperationStateROLLEDBACK, models.LcmOpOccOperationStateFAILED:
		return true
	case models.LcmOpOccOperationStateFAILEDTEMP:
		return op.OnFailure == models.LcmOpOccOnFailureHold
	}
	return false
}

// conclude tells how the operation ended.
func (s *session) conclude(ctx context.Context, op *models.LcmOpOcc) error {
	s.note("operation %s: %s %s", op.ID, op.LcmOperationType, op.OperationState)
	for _, l := range op.Leftovers {
		if l != nil {
			s.note("  left over: %s%s: %s", clean(l.TargetName), s.at(ctx, l.InfrastructureID), clean(l.Detail))
		}
	}
	if op.OperationState == models.LcmOpOccOperationStateCOMPLETED {
		if op.Outcome != "" {
			s.note("  outcome: %s", op.Outcome)
		}
		return nil
	}
	reason := op.OperationState
	if c := op.FirstRootCause; c != nil && c.Detail != "" {
		reason = s.translated(ctx, op.IotSliceID, nil, first(c.Target, "operation")+": "+c.Detail)
	}
	if op.OperationState == models.LcmOpOccOperationStateFAILEDTEMP {
		s.note("  it is held: slicectl operation retry, rollback or fail %s", op.ID)
	}
	return exitError{code: exitOperation, error: fmt.Errorf("operation %s ended %s: %s", op.ID, op.OperationState, reason)}
}

// view shows an operation: a bar on a terminal, lines elsewhere.
type view struct {
	s     *session
	seen  map[string]string
	state string
	bar   bool
	drawn bool
}

func (s *session) newView() *view {
	return &view{s: s, seen: map[string]string{}, bar: s.Terminal && !s.structured()}
}

func (v *view) show(op *models.LcmOpOcc) {
	if op.OperationState != v.state && !resting(op) { // conclude tells the last
		v.state = op.OperationState
		v.line("%s %s", op.LcmOperationType, op.OperationState)
	}
	done, current := 0, ""
	for _, st := range op.Steps {
		if st == nil {
			continue
		}
		switch st.State {
		case models.LcmOpOccStepStateDONE, models.LcmOpOccStepStateSKIPPED, models.LcmOpOccStepStateUNDONE, models.LcmOpOccStepStateABANDONED:
			done++
		case models.LcmOpOccStepStateRUNNING, models.LcmOpOccStepStateUNDOING:
			current = st.Action + " " + clean(st.TargetName)
			if st.Progress != "" {
				current += ": " + clean(st.Progress)
			}
		}
		v.step(st)
	}
	if v.bar && len(op.Steps) > 0 {
		v.draw(done, len(op.Steps), current)
	}
}

// step tells a step whose state changed.
func (v *view) step(st *models.LcmOpOccStep) {
	state := st.State
	if st.Error != nil && st.State != models.LcmOpOccStepStateDONE {
		state += fmt.Sprintf(" attempt %d: %s", st.Attempt, clean(st.Error.Detail))
	}
	if v.seen[st.ID] == state {
		return
	}
	v.seen[st.ID] = state
	if st.State == models.LcmOpOccStepStateWAITING && st.Error == nil {
		return
	}
	took := ""
	if st.FinishTime != nil && st.StartTime != nil && st.State == models.LcmOpOccStepStateDONE {
		took = fmt.Sprintf(" (%s)", time.Time(*st.FinishTime).Sub(time.Time(*st.StartTime)).Round(time.Millisecond))
	}
	v.line("  %-12s %-20s %s%s", st.Action, clean(st.TargetName), state, took)
}

func (v *view) line(format string, args ...any) {
	v.clear()
	fmt.Fprintf(v.s.Err, format+"\n", args...)
}

func (v *view) draw(done, all int, current string) {
	filled := barWidth * done / all
	text := fmt.Sprintf("[%s%s] %d/%d %s", strings.Repeat("█", filled), strings.Repeat("░", barWidth-filled), done, all, current)
	const width = 78
	if utf8.RuneCountInString(text) > width {
		text = string([]rune(text)[:width-1]) + "…"
	}
	fmt.Fprint(v.s.Err, "\r\033[K"+text)
	v.drawn = true
}

// clear takes the bar away so that a line can be written.
func (v *view) clear() {
	if v.drawn {
		fmt.Fprint(v.s.Err, "\r\033[K")
		v.drawn = false
	}
}

func (v *view) close() { v.clear() }
