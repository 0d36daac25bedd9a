package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// lists: a page of 100 devices, plain and filtered, with few and many devices.
func lists(ctx context.Context, b *bench) error {
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
	made, err := s.call(ctx, "POST", "/iotSlices", order(tenant, "devices", false), http.StatusCreated)
	if err != nil {
		return err
	}
	slice := id(made)
	pages := map[string]string{
		"plain":                   "/iotDevices?limit=100",
		"filtered":                "/iotDevices?limit=100&filter=(eq,protocol,HTTP)",
		"filtered, rare":          "/iotDevices?limit=100&filter=(eq,name,dev-0000042)",
		"of a slice, two filters": "/iotSlices/" + slice + "/iotDevices?limit=100&filter=(eq,protocol,COAP);(eq,state,DESIGNED)",
	}
	if err := s.devices(ctx, slice, 0, b.s.fewDevices); err != nil {
		return err
	}
	small, err := s.pages(ctx, b, pages)
	if err != nil {
		return err
	}
	if err := s.devices(ctx, slice, b.s.fewDevices, b.s.manyDevices); err != nil {
		return err
	}
	large, err := s.pages(ctx, b, pages)
	if err != nil {
		return err
	}
	for what := range pages {
		b.row("page of 100 devices, "+what, fmt.Sprintf("%.2f ms of %d", large[what], b.s.manyDevices), fmt.Sprintf("%.2f ms of %d", small[what], b.s.fewDevices),
			fmt.Sprintf("%.2f", large[what]/small[what]), "≤ 1.2")
	}
	return nil
}

// devices adds devices number from … to-1 in bulk.
func (s *service) devices(ctx context.Context, slice string, from, to int) error {
	const batch = 1000
	for at := from; at < to; at += batch {
		var list []object
		for i := at; i < min(at+batch, to); i++ {
			list = append(list, object{"name": fmt.Sprintf("dev-%07d", i), "iotGateway": "edge", "protocol": []string{"MQTT", "HTTP", "COAP"}[i%3], "magnitudes": []object{{"name": "t", "unit": "Cel"}}})
		}
		if _, err := s.call(ctx, "POST", "/iotSlices/"+slice+"/iotDevices/bulk", object{"iotDevices": list}, http.StatusCreated); err != nil {
			return err
		}
	}
	return nil
}

// pages answers the median milliseconds of each page.
func (s *service) pages(ctx context.Context, b *bench, pages map[string]string) (map[string]float64, error) {
	out := map[string]float64{}
	for what, path := range pages {
		each, _, err := load(ctx, 40*b.s.rounds, 1, func(ctx context.Context, _ int) error {
			_, err := s.call(ctx, "GET", path, nil, http.StatusOK)
			return err
		})
		if err != nil {
			return nil, err
		}
		out[what] = float64(quantile(each, 0.5)) / float64(time.Millisecond)
	}
	return out, nil
}
