package fulfilment_test

import (
	"testing"

	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

func TestASliceRunsAndEnds(t *testing.T) {
	w := newWorld(t)
	w.tenancy("site-a")
	w.run()
	res, err := w.svc.CreateSlice(w.ctx, w.order("one"), fulfilment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	op := w.ended(res.Operation.ID)
	if op.State != operation.Completed {
		t.Fatalf("%s: %+v", op.State, op.RootCause)
	}
	if sl := w.slice(res.Resource.Head().ID); sl.State != slice.Active || sl.Operation != "" {
		t.Fatalf("slice is %s, operation %q", sl.State, sl.Operation)
	}
	term, err := w.svc.Order(w.ctx, res.Resource.Head().ID, fulfilment.Request{Type: operation.Terminate}, fulfilment.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if op := w.ended(term.Operation.ID); op.State != operation.Completed {
		t.Fatalf("%s: %+v", op.State, op.RootCause)
	}
	if sl := w.slice(res.Resource.Head().ID); sl.State != slice.Terminated {
		t.Fatalf("slice is %s", sl.State)
	}
}
