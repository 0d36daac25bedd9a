package rest

import (
	"net/http"
	"time"

	"github.com/go-openapi/runtime/middleware"
	"github.com/go-openapi/strfmt"

	"github.com/osmoslice/osmoslice/api/restapi/operations"
	lcmopoccs "github.com/osmoslice/osmoslice/api/restapi/operations/lcm_op_occs"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/models"
)

// lcmOpOccs assigns the operations on lifecycle operation occurrences.
func (a *api) lcmOpOccs(o *operations.OsmosliceAPI) {
	o.LcmOpOccsListLcmOpOccsHandler = lcmopoccs.ListLcmOpOccsHandlerFunc(func(p lcmopoccs.ListLcmOpOccsParams, _ any) middleware.Responder {
		return a.listOperations(p.HTTPRequest, p.Limit)
	})
	o.LcmOpOccsGetLcmOpOccHandler = lcmopoccs.GetLcmOpOccHandlerFunc(func(p lcmopoccs.GetLcmOpOccParams, _ any) middleware.Responder {
		return a.readOperation(p.HTTPRequest, p.LcmOpOccID, p.Wait)
	})
	o.LcmOpOccsRetryLcmOpOccHandler = lcmopoccs.RetryLcmOpOccHandlerFunc(func(p lcmopoccs.RetryLcmOpOccParams, _ any) middleware.Responder {
		return a.signal(p.HTTPRequest, p.LcmOpOccID, "retry", "", p.DryRun)
	})
	o.LcmOpOccsRollbackLcmOpOccHandler = lcmopoccs.RollbackLcmOpOccHandlerFunc(func(p lcmopoccs.RollbackLcmOpOccParams, _ any) middleware.Responder {
		return a.signal(p.HTTPRequest, p.LcmOpOccID, "rollback", "", p.DryRun)
	})
	o.LcmOpOccsFailLcmOpOccHandler = lcmopoccs.FailLcmOpOccHandlerFunc(func(p lcmopoccs.FailLcmOpOccParams, _ any) middleware.Responder {
		return a.signal(p.HTTPRequest, p.LcmOpOccID, "fail", "", p.DryRun)
	})
	o.LcmOpOccsContinueLcmOpOccHandler = lcmopoccs.ContinueLcmOpOccHandlerFunc(func(p lcmopoccs.ContinueLcmOpOccParams, _ any) middleware.Responder {
		return a.signal(p.HTTPRequest, p.LcmOpOccID, "continue", "", p.DryRun)
	})
	o.LcmOpOccsCancelLcmOpOccHandler = lcmopoccs.CancelLcmOpOccHandlerFunc(func(p lcmopoccs.CancelLcmOpOccParams, _ any) middleware.Responder {
		mode := "GRACEFUL"
		if p.Body != nil && p.Body.CancelMode != "" {
			mode = p.Body.CancelMode
		}
		return a.signal(p.HTTPRequest, p.LcmOpOccID, "cancel", mode, p.DryRun)
	})
}

func (a *api) listOperations(r *http.Request, limit *int64) middleware.Responder {
	s, err := parseSelector(r, a.shapes["LcmOpOcc"])
	if err != nil {
		return a.fail(r, err)
	}
	q, err := a.query(r, "", limit)
	if err != nil {
		return a.fail(r, err)
	}
	all, next, err := a.deps.Reads.Operations(r.Context(), q)
	if err != nil {
		return a.fail(r, err)
	}
	out := make([]*models.LcmOpOcc, len(all))
	for i, op := range all {
		out[i] = lcmOpOcc(op)
	}
	return page(a, r, out, next, s)
}

// readOperation answers an operation, after up to wait seconds if it is not over
// before.
func (a *api) readOperation(r *http.Request, id string, wait *int64) middleware.Responder {
	s, err := parseSelector(r, a.shapes["LcmOpOcc"])
	if err != nil {
		return a.fail(r, err)
	}
	ctx := r.Context()
	op, err := a.deps.Reads.Operation(ctx, id)
	if wait != nil {
		pause := 20 * time.Millisecond
		for until := a.deps.Clock().Add(time.Duration(*wait) * time.Second); err == nil && !op.State.Final(); {
			left := until.Sub(a.deps.Clock())
			if left <= 0 || ctx.Err() != nil {
				break
			}
			pause = min(2*pause, left, time.Second)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			op, err = a.deps.Reads.Operation(ctx, id)
		}
	}
	if err != nil {
		return a.fail(r, err)
	}
	return a.representation(r, lcmOpOcc(op), op.Revision, s)
}

// signal tells an operation a person's word. A dry run only reads: whether the
// word is possible shows in the state.
func (a *api) signal(r *http.Request, id, verb, mode string, dryRun *bool) middleware.Responder {
	if is(dryRun) {
		op, err := a.deps.Reads.Operation(r.Context(), id)
		if err == nil {
			err = op.Accepts(verb)
		}
		if err != nil {
			return a.fail(r, err)
		}
		return a.json(r, http.StatusOK, lcmOpOcc(op))
	}
	op, err := a.deps.Orders.Signal(r.Context(), id, verb, mode)
	if err != nil {
		return a.fail(r, err)
	}
	return a.accepted(r, op)
}

// accepted answers 202 with the operation.
func (a *api) accepted(r *http.Request, op *operation.Operation) middleware.Responder {
	n := a.json(r, http.StatusAccepted, lcmOpOcc(op))
	if whole, ok := n.(answer); ok {
		whole.location = operationLocation(op.ID)
		return whole
	}
	return n
}

// lcmOpOcc is the public form of an operation: what the engine needs to go on
// stays inside.
func lcmOpOcc(op *operation.Operation) *models.LcmOpOcc {
	out := &models.LcmOpOcc{
		ID: op.ID, TenantID: op.Tenant, IotSliceID: op.Slice, LcmOperationType: string(op.Type),
		Cause: op.Cause, Actor: op.Actor, RequestID: op.RequestID, Schema: int64(op.Schema),
		OperationState: string(op.State), StateEnteredTime: at(op.StateEnteredAt), StatusEnteredTime: at(op.StateEnteredAt),
		StartTime: at(op.StartedAt), OnFailure: string(op.OnFailure), HoldUntil: at(op.HoldUntil),
		Deadline: at(op.Deadline), RollbackDeadline: at(op.RollbackDeadline), IsCancelPending: op.CancelPending,
		CancelMode: op.CancelMode, Planned: op.Planned, FirstRootCause: cause(op.RootCause),
		Outcome: op.Outcome, Supersedes: op.Supersedes, Revision: op.Revision, Steps: steps(op.Steps),
	}
	if len(op.Params) > 0 {
		out.OperationParams = op.Params
	}
	if op.FinishedAt != nil {
		out.FinishTime = at(*op.FinishedAt)
	}
	for _, h := range op.History {
		out.StateHistory = append(out.StateHistory, &models.LcmOpOccState{OperationState: string(h.State), StateEnteredTime: at(h.At)})
	}
	for i := range op.Causes {
		out.Causes = append(out.Causes, cause(&op.Causes[i]))
	}
	for _, l := range op.Leftovers {
		out.Leftovers = append(out.Leftovers, &models.Leftover{
			TargetID: l.Target, TargetName: l.TargetName, InfrastructureID: l.Infrastructure, ReleaseName: l.Release, Detail: l.Detail,
		})
	}
	return out
}

func steps(all []operation.Step) []*models.LcmOpOccStep {
	var out []*models.LcmOpOccStep
	for _, s := range all {
		m := &models.LcmOpOccStep{
			ID: s.ID, Action: s.Action, Undo: s.Undo, TargetID: s.Target, TargetName: s.TargetName,
			InfrastructureID: s.Infrastructure, After: s.After, Optional: s.Optional, GiveUp: s.GiveUp,
			State: string(s.State), Attempt: int64(s.Attempt), NotBefore: at(s.NotBefore), TimeoutNanos: int64(s.Timeout),
			StartTime: at(s.StartedAt), FinishTime: at(s.FinishedAt), Error: cause(s.Cause), Progress: s.Progress,
		}
		// A nil RawMessage in an interface would be written as null.
		if len(s.Args) > 0 {
			m.Args = s.Args
		}
		if len(s.UndoArgs) > 0 {
			m.UndoArgs = s.UndoArgs
		}
		if len(s.Result) > 0 {
			m.Result = s.Result
		}
		out = append(out, m)
	}
	return out
}

func cause(c *operation.Cause) *models.OperationCause {
	if c == nil {
		return nil
	}
	return &models.OperationCause{
		Kind: c.Kind, Retry: c.Retry, Detail: c.Detail, StepID: c.Step, Target: c.Target, InfrastructureID: c.Site, Time: at(c.At),
	}
}

// at is a time as models have it; nil for the zero time.
func at(t time.Time) *strfmt.DateTime {
	if t.IsZero() {
		return nil
	}
	d := strfmt.DateTime(t)
	return &d
}

// plan is the public form of a preview.
func plan(p *fulfilment.Preview) *models.Plan {
	out := &models.Plan{Feasible: p.Feasible, Reason: p.Reason, Steps: steps(p.Steps)}
	if len(p.Decision) > 0 {
		out.Decision = p.Decision
	}
	for _, c := range p.Changes {
		out.Changes = append(out.Changes, &models.PlanChange{Verb: c.Verb, Kind: string(c.Kind), ID: c.ID, Name: c.Name})
	}
	for _, d := range p.Differences {
		out.Differences = append(out.Differences, &models.PlanDifference{ElementID: d.Element, ElementName: d.Name, InfrastructureID: d.Infrastructure,
			Object: d.Object, Field: d.Field, Before: d.Before, After: d.After, Unknown: d.Unknown})
	}
	return out
}
