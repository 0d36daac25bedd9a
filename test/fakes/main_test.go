package main

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"
)

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), []string{"--edgex", "127.0.0.1:0", "--mainflux", "127.0.0.1:0", "--for", "50ms"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(&out)
	for _, want := range []struct {
		product string
		n       int
	}{{"edgex", 7}, {"mainflux", 5}} {
		var got struct {
			Product   string
			Endpoints map[string]string
		}
		if err := d.Decode(&got); err != nil || got.Product != want.product || len(got.Endpoints) != want.n {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if err := run(t.Context(), nil, io.Discard, io.Discard); err == nil {
		t.Error("it ran nothing without complaint")
	}
}
