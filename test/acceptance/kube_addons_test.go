//go:build e2e

package acceptance

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/osmoslice/osmoslice/internal/platform"
	"github.com/osmoslice/osmoslice/internal/platform/mainflux"
)

// TestAddOns installs Mainflux and InfluxDB by their charts, side by side: what a
// thing sends is in both, and InfluxDB answers its administrator alone.
func TestAddOns(t *testing.T) {
	b := newByHelm(t, "series")
	expose := map[string]any{"type": "NodePort"}
	b.converge("srv", "mainflux", map[string]any{"expose": expose, "replicas": 2, "size": "edge"})
	b.converge("series", "influxdb", map[string]any{"expose": expose, "mainflux": map[string]any{"release": "srv"}})
	a := platform.Access{Token: b.secret("srv-secrets", "admin-email") + ":" + b.secret("srv-secrets", "admin-password"), Endpoints: map[string]string{}}
	for _, e := range []string{"users", "things", "http", "reader"} {
		a.Endpoints[e] = "http://" + b.nodePort("srv-"+e+"-x")
	}
	a.Endpoints["mqtt"] = "tcp://" + b.nodePort("srv-mqtt-x")
	server := mainflux.NewServer(nil)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	up, err := server.Connect(ctx, a, "gw")
	if err != nil {
		t.Fatal(err)
	}
	channel, _, _ := strings.Cut(strings.TrimPrefix(up.Topic, "channels/"), "/")
	b.s.eventually(time.Minute, "a message is taken", func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.Endpoints["http"]+"/channels/"+channel+"/messages", strings.NewReader(`[{"bn":"d:","n":"temperature","u":"Cel","v":21.5}]`))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", up.Password)
		return answered(request, http.StatusAccepted, nil)
	})
	b.s.eventually(time.Minute, "it is in PostgreSQL", func() error {
		got, err := server.Read(ctx, a, "gw", "d:temperature", 1)
		if err == nil && (len(got) != 1 || got[0].Value != 21.5) {
			err = fmt.Errorf("the reader answers %+v", got)
		}
		return err
	})
	query := "http://" + b.nodePort("series-influxdb") + "/query?" + url.Values{"db": {"readings"}, "q": {`SELECT value FROM messages WHERE "name" = 'd:temperature'`}}.Encode()
	b.s.eventually(time.Minute, "it is in InfluxDB", func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, query, nil)
		if err != nil {
			return err
		}
		request.SetBasicAuth("admin", b.secret("series-secrets", "admin-password"))
		var body string
		if err := answered(request, http.StatusOK, &body); err != nil {
			return err
		}
		if !strings.Contains(body, "21.5") {
			return fmt.Errorf("InfluxDB answers %s", body)
		}
		return nil
	})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, query, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := answered(request, http.StatusUnauthorized, nil); err != nil {
		t.Errorf("without a password: %v", err)
	}
}

// answered sends a request and wants a status.
func answered(request *http.Request, want int, body *string) error {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != want {
		err = fmt.Errorf("%s answers %s: %s", request.URL, response.Status, raw)
	}
	if body != nil {
		*body = string(raw)
	}
	return err
}
