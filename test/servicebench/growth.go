package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// The batches that growth measures: their size, and how many there are in a
// round.
const (
	growthBatch   = 50
	growthBatches = 4
)

// growth: the cost of a slice with few and with many existing. Two services
// stand side by side and take batches in turn, so that whatever else the
// machine does meets both; what a batch added is removed, unmeasured, so that
// few stay few. Then a restart with many.
func growth(ctx context.Context, b *bench) error {
	few, err := b.grown(ctx, b.s.few)
	if err != nil {
		return err
	}
	defer func() { _ = few.stop() }()
	many, err := b.grown(ctx, b.s.many)
	if err != nil {
		return err
	}
	defer func() { _ = many.stop() }()
	var small, large costs
	for k := range b.s.rounds * growthBatches {
		first, second := few, many
		if k%2 == 1 {
			first, second = many, few
		}
		for _, g := range []*grown{first, second} {
			cost, err := g.batch(ctx, b, k)
			if err != nil {
				return err
			}
			if g == few {
				small.add(cost)
			} else {
				large.add(cost)
			}
		}
	}
	if err := errors.Join(few.failed(ctx), many.failed(ctx)); err != nil {
		return err
	}
	b.row("cost of one more slice", fmt.Sprintf("%.2f ms with %d existing", median(large.took), b.s.many), fmt.Sprintf("%.2f ms with %d existing", median(small.took), b.s.few),
		fmt.Sprintf("%.2f", pairs(large.took, small.took)), "≤ 1.2")
	b.row("processor time of one more slice", fmt.Sprintf("%.2f ms with %d existing", median(large.used), b.s.many), fmt.Sprintf("%.2f ms with %d existing", median(small.used), b.s.few),
		fmt.Sprintf("%.2f", pairs(large.used, small.used)), "≤ 1.2")
	return b.restart(ctx, many)
}

// cost is what one slice took, in milliseconds: by the clock, and of the
// processor.
type cost struct{ took, used float64 }

type costs struct{ took, used []float64 }

func (c *costs) add(one cost) { c.took, c.used = append(c.took, one.took), append(c.used, one.used) }

// pairs is the median of the ratios of what was measured side by side.
func pairs(a, b []float64) float64 {
	out := make([]float64, len(a))
	for k := range a {
		out[k] = a[k] / b[k]
	}
	return median(out)
}

// restart: how long a service with many slices takes to serve and to decide.
func (b *bench) restart(ctx context.Context, many *grown) error {
	if err := many.stop(); err != nil {
		return err
	}
	from := time.Now()
	again, err := start(ctx, many.dir)
	if err != nil {
		return err
	}
	many.service = again
	ready := time.Since(from)
	if _, err := again.run(ctx, many.tenant, "after", 1, 1); err != nil {
		return err
	}
	b.row(fmt.Sprintf("restart with %d slices", b.s.many), fmt.Sprintf("serving after %v, first new slice ACTIVE after %v", ready.Round(time.Millisecond), time.Since(from).Round(time.Millisecond)),
		"", "", "≤ 10 s")
	return nil
}

// grown is a service with slices on it.
type grown struct {
	*service
	tenant string
}

// grown starts a service and gives it n running slices.
func (b *bench) grown(ctx context.Context, n int) (*grown, error) {
	dir, err := b.folder()
	if err != nil {
		return nil, err
	}
	s, err := start(ctx, dir)
	if err != nil {
		return nil, err
	}
	g := &grown{service: s}
	if g.tenant, err = s.prepare(ctx, 1); err == nil {
		_, err = s.run(ctx, g.tenant, "old", n, b.s.clients)
	}
	if err = errors.Join(err, s.failed(ctx)); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return g, nil
}

// batch orders some slices, answers what one of them cost, and removes them.
func (g *grown) batch(ctx context.Context, b *bench, k int) (c cost, err error) {
	from, worked := time.Now(), busy()
	ids := make([]string, growthBatch)
	_, _, err = load(ctx, growthBatch, b.s.clients, func(ctx context.Context, i int) error {
		made, err := g.call(ctx, "POST", "/iotSlices", order(g.tenant, fmt.Sprintf("new-%d-%d", k, i), true), http.StatusAccepted)
		ids[i] = id(made)
		return err
	})
	if err = errors.Join(err, g.quiet(ctx, growthBatch)); err != nil {
		return c, err
	}
	c = cost{time.Since(from).Seconds() * 1000 / growthBatch, (busy() - worked).Seconds() * 1000 / growthBatch}
	_, _, err = load(ctx, growthBatch, b.s.clients, func(ctx context.Context, i int) error {
		_, err := g.call(ctx, "DELETE", "/iotSlices/"+ids[i]+"?cascade=true", nil, http.StatusAccepted)
		return err
	})
	return c, errors.Join(err, g.quiet(ctx, growthBatch))
}
