package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"time"
)

// run orders n slices at once and waits until all are ACTIVE; it answers how
// long that took, and how long each took from order to ACTIVE (by its
// operation's times).
func (s *service) run(ctx context.Context, tenant, prefix string, n, clients int) (time.Duration, error) {
	from := time.Now()
	_, _, err := load(ctx, n, clients, func(ctx context.Context, i int) error {
		_, err := s.call(ctx, "POST", "/iotSlices", order(tenant, fmt.Sprintf("%s-%06d", prefix, i), true), http.StatusAccepted)
		return err
	})
	if err != nil {
		return 0, err
	}
	if err := s.quiet(ctx, n); err != nil {
		return 0, err
	}
	return time.Since(from), nil
}

// quiet waits until no operation is open.
func (s *service) quiet(ctx context.Context, n int) error {
	limit := time.Now().Add(time.Minute + time.Duration(n)*50*time.Millisecond)
	for {
		open, err := s.open(ctx)
		if err != nil || open == 0 {
			return err
		}
		if time.Now().After(limit) {
			return fmt.Errorf("%d operations are still open", open)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// open tells whether an operation is open (1 or 0: one page of one).
func (s *service) open(ctx context.Context) (int, error) {
	b, err := s.call(ctx, "GET", "/lcmOpOccs?limit=1&filter=(in,operationState,STARTING,PROCESSING,FAILED_TEMP,ROLLING_BACK)", nil, http.StatusOK)
	if err != nil {
		return 0, err
	}
	var ops []json.RawMessage
	err = json.Unmarshal(b, &ops)
	return len(ops), err
}

// failed counts operations that did not complete.
func (s *service) failed(ctx context.Context) error {
	b, err := s.call(ctx, "GET", "/lcmOpOccs?limit=1&filter=(in,operationState,ROLLED_BACK,FAILED,PARTIALLY_COMPLETED)", nil, http.StatusOK)
	if err != nil {
		return err
	}
	var ops []json.RawMessage
	if err := json.Unmarshal(b, &ops); err != nil {
		return err
	}
	if len(ops) > 0 {
		return fmt.Errorf("an operation failed: %.600s", ops[0])
	}
	return nil
}

// slicesPart: whole slices (gateway + server) on simulated sites of zero
// latency, beside their recorded transactions replayed bare.
func slicesPart(ctx context.Context, b *bench) error {
	dir, err := b.folder()
	if err != nil {
		return err
	}
	s, err := start(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { _ = s.stop() }()
	tenant, err := s.prepare(ctx, 1)
	if err != nil {
		return err
	}
	var ours, peers, ratios, used, usedBare []float64
	statements, commits := 0, 0
	for round := range b.s.rounds {
		before := filepath.Join(dir, fmt.Sprintf("before-%d.db", round))
		if err := copyTo(ctx, s.file(), before); err != nil {
			return err
		}
		s.tape.start()
		worked := busy()
		took, err := s.run(ctx, tenant, fmt.Sprintf("r%d", round), b.s.slices, b.s.clients)
		used = append(used, (busy()-worked).Seconds()*1000/float64(b.s.slices))
		tape := s.tape.stop()
		if err = errors.Join(err, s.failed(ctx)); err != nil {
			return err
		}
		statements, commits = len(tape), len(tapes(tape))
		p, err := newPlayer(ctx, before)
		if err != nil {
			return err
		}
		from := time.Now()
		worked = busy()
		if err := p.play(ctx, tape); err != nil {
			return fmt.Errorf("replay: %w", err)
		}
		bare := time.Since(from)
		usedBare = append(usedBare, (busy()-worked).Seconds()*1000/float64(b.s.slices))
		if err := p.close(); err != nil {
			return err
		}
		ours, peers = append(ours, rate(b.s.slices, took)), append(peers, rate(b.s.slices, bare))
		ratios = append(ratios, ours[round]/peers[round])
	}
	b.row(fmt.Sprintf("simulated slices/s, order to ACTIVE, %d at once", b.s.slices), fmt.Sprintf("%.0f (%.1f ms of processor each)", median(ours), median(used)),
		fmt.Sprintf("%.0f (%.1f ms of processor each) their recorded transactions replayed on one connection (%.1f statements and %.2f commits a slice)", median(peers), median(usedBare),
			float64(statements)/float64(b.s.slices), float64(commits)/float64(b.s.slices)),
		fmt.Sprintf("%.2f", median(ratios)), "≥ 0.5, aim 200/s")
	return nil
}

// deadSite: one slice on each of many sites of 5 ms latency, all alive and with
// one that does not answer.
func deadSite(ctx context.Context, b *bench) error {
	measure := func(dead bool) (float64, error) {
		dir, err := b.folder()
		if err != nil {
			return 0, err
		}
		s, err := start(ctx, dir)
		if err != nil {
			return 0, err
		}
		defer func() { _ = s.stop() }()
		return b.manySites(ctx, s, dead)
	}
	var ratios, alive, one []float64
	for range b.s.rounds {
		a, err := measure(false)
		if err != nil {
			return err
		}
		d, err := measure(true)
		if err != nil {
			return err
		}
		alive, one, ratios = append(alive, a), append(one, d), append(ratios, d/a)
	}
	b.row(fmt.Sprintf("%d slices, one per site, order to ACTIVE of the slowest on a living site", b.s.sites),
		fmt.Sprintf("%.0f ms with one dead site", median(one)), fmt.Sprintf("%.0f ms with all alive", median(alive)),
		fmt.Sprintf("%.2f", median(ratios)), "≤ 1.05")
	return nil
}

func (b *bench) manySites(ctx context.Context, s *service, dead bool) (ms float64, err error) {
	made, err := s.call(ctx, "POST", "/tenants", object{"name": "bench"}, http.StatusCreated)
	if err != nil {
		return 0, err
	}
	tenant := id(made)
	slow := object{"latencyMs": object{"apply": 5, "ready": 5, "platform": 5, "observe": 1}}
	for i := range b.s.sites {
		made, err := s.call(ctx, "POST", "/infrastructures", site(tenant, i, slow), http.StatusCreated)
		if err != nil {
			return 0, err
		}
		if dead && i == 0 {
			if _, err := s.call(ctx, "PUT", "/infrastructures/"+id(made)+"/simulation", object{"loss": "dead"}, http.StatusOK); err != nil {
				return 0, err
			}
		}
	}
	from := time.Now()
	ids := make([]string, b.s.sites)
	_, _, err = load(ctx, b.s.sites, b.s.clients, func(ctx context.Context, i int) error {
		o := order(tenant, fmt.Sprintf("s-%03d", i), true)
		o["placementPolicy"] = object{"infrastructures": []string{fmt.Sprintf("site-%03d", i)}}
		b, err := s.call(ctx, "POST", "/iotSlices", o, http.StatusAccepted)
		ids[i] = id(b)
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, slice := range slices.Backward(ids[1:]) {
		if err := s.active(ctx, slice); err != nil {
			return 0, err
		}
	}
	return time.Since(from).Seconds() * 1000, nil
}

func (s *service) active(ctx context.Context, slice string) error {
	for limit := time.Now().Add(time.Minute); ; {
		b, err := s.call(ctx, "GET", "/iotSlices/"+slice, nil, http.StatusOK)
		if err != nil {
			return err
		}
		var o struct{ State, Cause string }
		if err := json.Unmarshal(b, &o); err != nil || o.State == "ACTIVE" {
			return err
		}
		if time.Now().After(limit) {
			return fmt.Errorf("slice %s is %s: %s", slice, o.State, o.Cause)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}
