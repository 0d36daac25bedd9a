package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"time"
)

// orders: accepted orders per second through the whole stack, beside a bare
// net/http handler that replays the recorded SQL of the same orders on a copy
// of the same database. Rounds alternate.
func orders(ctx context.Context, b *bench) error {
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
	before := filepath.Join(dir, "before.db")
	if err := copyTo(ctx, s.file(), before); err != nil {
		return err
	}
	n := b.s.orders * b.s.rounds
	s.tape.start()
	for i := range n { // one after the other, so that each order is one tape
		if _, err := s.call(ctx, "POST", "/iotSlices", order(tenant, fmt.Sprintf("rec-%06d", i), false), http.StatusCreated); err != nil {
			return err
		}
	}
	recorded := mention(tapes(s.tape.stop()), "rec-")
	if len(recorded) != n {
		return fmt.Errorf("%d orders made %d transactions", n, len(recorded))
	}
	return b.compareOrders(ctx, s, tenant, before, recorded)
}

func (b *bench) compareOrders(ctx context.Context, s *service, tenant, before string, recorded [][]statement) error {
	p, err := newPlayer(ctx, before)
	if err != nil {
		return err
	}
	defer func() { _ = p.close() }()
	answer, err := json.Marshal(order(tenant, "as long as an answer", false))
	if err != nil {
		return err
	}
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		k, err := strconv.Atoi(r.Header.Get("Tape"))
		if err == nil {
			err = p.play(r.Context(), recorded[k])
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(answer)
	}))
	defer bare.Close()
	var ours, peers, ratios []float64
	var tail []time.Duration
	for round := range b.s.rounds {
		each, all, err := load(ctx, b.s.orders, b.s.clients, func(ctx context.Context, i int) error {
			_, err := s.call(ctx, "POST", "/iotSlices", order(tenant, fmt.Sprintf("run-%d-%06d", round, i), false), http.StatusCreated)
			return err
		})
		if err != nil {
			return err
		}
		_, allBare, err := load(ctx, b.s.orders, b.s.clients, func(ctx context.Context, i int) error {
			k := round*b.s.orders + i
			return bareOrder(ctx, s.client, bare.URL, k, order(tenant, fmt.Sprintf("rec-%06d", k), false))
		})
		if err != nil {
			return fmt.Errorf("bare: %w", err)
		}
		tail = append(tail, quantile(each, 0.99))
		ours, peers = append(ours, rate(b.s.orders, all)), append(peers, rate(b.s.orders, allBare))
		ratios = append(ratios, ours[round]/peers[round])
	}
	b.row(fmt.Sprintf("orders accepted/s, %d clients, gateway + server each, SQLite FULL", b.s.clients),
		fmt.Sprintf("%.0f (p99 %v)", median(ours), tail[len(tail)/2].Round(100*time.Microsecond)),
		fmt.Sprintf("%.0f bare handler, a commit per request, %d statements", median(peers), len(recorded[len(recorded)/2])),
		fmt.Sprintf("%.2f", median(ratios)), "≥ 0.5")
	return nil
}

func bareOrder(ctx context.Context, c *http.Client, url string, k int, body object) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Tape", strconv.Itoa(k))
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("%d: %s", resp.StatusCode, text)
	}
	return err
}

// readTurns is how often the two take turns in a round.
const readTurns = 10

// reads: GETs of one slice per second, beside a bare handler that runs the same
// SELECTs and answers as many bytes.
func reads(ctx context.Context, b *bench) error {
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
	made, err := s.call(ctx, "POST", "/iotSlices", order(tenant, "one", false), http.StatusCreated)
	if err != nil {
		return err
	}
	path := "/iotSlices/" + id(made)
	if _, err := s.call(ctx, "GET", path, nil, http.StatusOK); err != nil { // warm: keys are cached
		return err
	}
	s.tape.start()
	answer, err := s.call(ctx, "GET", path, nil, http.StatusOK)
	if err != nil {
		return err
	}
	tape := selects(s.tape.stop())
	if len(tape) == 0 {
		return errors.New("a GET ran no SQL")
	}
	return b.compareReads(ctx, s, path, answer, tape)
}

// selects leaves out what other loops wrote meanwhile.
func selects(stream []statement) (out []statement) {
	for _, st := range stream {
		if len(st.text) > 6 && st.text[:6] == "SELECT" && len(st.args) > 0 {
			out = append(out, st)
		}
	}
	return out
}

func (b *bench) compareReads(ctx context.Context, s *service, path string, answer []byte, tape []statement) error {
	readers := make(chan *player, 8) // as many as the store reads with
	for range cap(readers) {
		p, err := newPlayer(ctx, s.file())
		if err != nil {
			return err
		}
		defer func() { _ = p.close() }()
		readers <- p
	}
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := <-readers
		err := p.play(r.Context(), tape)
		readers <- p
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
	defer bare.Close()
	var ours, peers, ratios, used, usedBare []float64
	var tail []time.Duration
	n := b.s.reads / readTurns
	for range b.s.rounds * readTurns { // short turns: what else the machine does meets both
		worked := busy()
		each, all, err := load(ctx, n, b.s.clients, func(ctx context.Context, _ int) error {
			_, err := s.call(ctx, "GET", path, nil, http.StatusOK)
			return err
		})
		if err != nil {
			return err
		}
		used = append(used, (busy()-worked).Seconds()*1e6/float64(n))
		worked = busy()
		_, allBare, err := load(ctx, n, b.s.clients, func(ctx context.Context, _ int) error {
			_, err := send(ctx, s.client, "GET", bare.URL, s.key, nil, http.StatusOK)
			return err
		})
		if err != nil {
			return fmt.Errorf("bare: %w", err)
		}
		usedBare = append(usedBare, (busy()-worked).Seconds()*1e6/float64(n))
		tail = append(tail, quantile(each, 0.99))
		ours, peers = append(ours, rate(n, all)), append(peers, rate(n, allBare))
		ratios = append(ratios, ours[len(ours)-1]/peers[len(peers)-1])
	}
	b.row(fmt.Sprintf("GETs/s of a slice, %d clients", b.s.clients),
		fmt.Sprintf("%.0f (p99 %v, %.0f µs of processor each, client included)", median(ours), tail[len(tail)/2].Round(100*time.Microsecond), median(used)),
		fmt.Sprintf("%.0f (%.0f µs of processor each) bare handler, %d statements", median(peers), median(usedBare), len(tape)),
		fmt.Sprintf("%.2f", median(ratios)), "≥ 0.5")
	return nil
}
