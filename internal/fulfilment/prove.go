package fulfilment

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// proveWithin is how long a synthetic reading is waited for by default.
const proveWithin = 2 * time.Minute

// proofs plans a synthetic reading for every gateway that is attached anew,
// where the gateway can send one and its server tells what it stored. It comes
// after the devices. A path that cannot be proven leaves the slice as it is and
// the operation completed in part.
func (p *planner) proofs() {
	p.each(slice.Gateway, func(e *slice.Element) {
		server := p.sit.serverOf(e)
		var after []string
		attached := false
		for i := range p.steps {
			s := &p.steps[i]
			if s.Target == e.ID && (s.Action == actAttach || s.Action == actProvision || s.Action == actDeprovision) {
				after = append(after, s.ID)
				attached = attached || s.Action == actAttach
			}
		}
		if !attached || server == nil {
			return
		}
		_, sends := p.able(e).Gateway.(platform.Prober)
		_, tells := p.able(server).Server.(platform.Reader)
		if !sends || !tells {
			return
		}
		infra, _ := p.at(e)
		p.add(operation.Step{
			ID: stepID(actProve, e), Action: actProve, Target: e.ID, TargetName: e.Name, Infrastructure: infra,
			Optional: true, Timeout: p.sit.ProveWithin,
		}, linkArgs{e.ID, server.ID}, after...)
	})
}

// doProve sends the reading once and looks for it at the server; the device it
// was sent as goes when it has arrived.
func (s *Service) doProve(ctx context.Context, c operation.Call, x ends) (operation.Outcome, error) {
	prober, sends := x.able.Gateway.(platform.Prober)
	reader, tells := x.serverAble.Server.(platform.Reader)
	if !sends || !tells {
		return operation.Outcome{Done: true}, nil // other products than planned for
	}
	// Told apart from the readings of earlier operations, and the same after a
	// restart.
	h := fnv.New32a()
	_, _ = h.Write([]byte(c.Operation.ID))
	value := float64(h.Sum32() % 1_000_000)
	if !c.Again {
		if err := prober.Probe(ctx, x.at, value); err != nil {
			return operation.Outcome{}, err
		}
	}
	found, err := reader.Read(ctx, x.serverAt, clientName(x.e), platform.ProbeName, 10)
	if err != nil {
		return operation.Outcome{}, err
	}
	for _, r := range found {
		if v, ok := r.Value.(float64); ok && v == value {
			return s.proven(ctx, x, r)
		}
	}
	return operation.Outcome{Progress: fmt.Sprintf("a reading was sent; %q does not have it yet", x.server.Name)}, nil
}

func (s *Service) proven(ctx context.Context, x ends, r platform.Reading) (operation.Outcome, error) {
	results, err := x.able.Gateway.Deprovision(ctx, x.at, []string{platform.ProbeDevice})
	if err == nil && len(results) > 0 {
		err = results[0].Err
	}
	return operation.Outcome{Done: true, Result: raw(map[string]any{
		"reading": r.Name, "value": r.Value, "time": r.Time, "server": x.server.Name,
	})}, err
}
