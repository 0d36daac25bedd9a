package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// page is one list that lists measures.
type page struct{ what, path string }

// shelf is a service with one slice of many devices.
type shelf struct {
	*service
	slice string
	each  map[string][]float64 // milliseconds of every request, by page
}

// lists: a page of 100 devices, plain and filtered, with few and many devices.
// Two services stand side by side and answer in turn, request by request, so
// that whatever else the machine does meets both.
func lists(ctx context.Context, b *bench) error {
	small, err := b.shelf(ctx, b.s.fewDevices)
	if err != nil {
		return err
	}
	defer func() { _ = small.stop() }()
	large, err := b.shelf(ctx, b.s.manyDevices)
	if err != nil {
		return err
	}
	defer func() { _ = large.stop() }()
	for _, p := range []page{
		{"plain", "/iotDevices?limit=100"},
		{"filtered by protocol", "/iotDevices?limit=100&filter=(eq,protocol,HTTP)"},
		{"filtered by name", "/iotDevices?limit=100&filter=(eq,name,dev-0000042)"},
		{"of a slice, two filters", "/iotSlices/{slice}/iotDevices?limit=100&filter=(eq,protocol,COAP);(eq,state,DESIGNED)"},
	} {
		if err := b.pages(ctx, p, small, large); err != nil {
			return err
		}
		few, many := median(small.each[p.what]), median(large.each[p.what])
		b.row("page of 100 devices, "+p.what, fmt.Sprintf("%.2f ms of %d", many, b.s.manyDevices), fmt.Sprintf("%.2f ms of %d", few, b.s.fewDevices),
			fmt.Sprintf("%.2f", many/few), "≤ 1.2")
	}
	return nil
}

// shelf starts a service and gives it a slice of n devices.
func (b *bench) shelf(ctx context.Context, n int) (*shelf, error) {
	dir, err := b.folder()
	if err != nil {
		return nil, err
	}
	s, err := start(ctx, dir)
	if err != nil {
		return nil, err
	}
	h := &shelf{service: s, each: map[string][]float64{}}
	err = func() error {
		tenant, err := s.prepare(ctx, 1)
		if err != nil {
			return err
		}
		made, err := s.call(ctx, "POST", "/iotSlices", order(tenant, "devices", false), http.StatusCreated)
		if err != nil {
			return err
		}
		h.slice = id(made)
		return s.devices(ctx, h.slice, n)
	}()
	if err != nil {
		_ = s.stop()
		return nil, err
	}
	return h, nil
}

// devices adds n devices in bulk.
func (s *service) devices(ctx context.Context, slice string, n int) error {
	const batch = 1000
	for at := 0; at < n; at += batch {
		var list []object
		for i := at; i < min(at+batch, n); i++ {
			list = append(list, object{"name": fmt.Sprintf("dev-%07d", i), "iotGateway": "edge", "protocol": []string{"MQTT", "HTTP", "COAP"}[i%3], "magnitudes": []object{{"name": "t", "unit": "Cel"}}})
		}
		if _, err := s.call(ctx, "POST", "/iotSlices/"+slice+"/iotDevices/bulk", object{"iotDevices": list}, http.StatusCreated); err != nil {
			return err
		}
	}
	return nil
}

// pages asks the shelves for a page in turn; a first tenth of the requests,
// which warms connections and caches, is not counted.
func (b *bench) pages(ctx context.Context, p page, shelves ...*shelf) error {
	n := 200 * b.s.rounds
	for k := range n + n/10 {
		for i := range shelves {
			h := shelves[(i+k)%len(shelves)]
			from := time.Now()
			if _, err := h.call(ctx, "GET", strings.ReplaceAll(p.path, "{slice}", h.slice), nil, http.StatusOK); err != nil {
				return err
			}
			if k >= n/10 {
				h.each[p.what] = append(h.each[p.what], time.Since(from).Seconds()*1000)
			}
		}
	}
	return nil
}
