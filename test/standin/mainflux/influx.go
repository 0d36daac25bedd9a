package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/osmoslice/osmoslice/internal/platform/mainflux/mainfluxtest"
)

// influxWriter brings numbers to InfluxDB, as points of the measurement messages.
func influxWriter(h *house) error {
	b, err := h.connect()
	if err != nil {
		return err
	}
	if err := h.writes("MF_INFLUX_WRITER"); err != nil {
		return err
	}
	go func() {
		h.failed <- b.subscribe("channels.>", func(m mainfluxtest.Message) error {
			for _, r := range mainfluxtest.Readings(m) {
				if r.Value == nil {
					continue
				}
				if err := h.point(r); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	return h.listen("MF_INFLUX_WRITER_PORT", version())
}

func (h *house) point(r mainfluxtest.Reading) error {
	tag := strings.NewReplacer(",", `\,`, " ", `\ `, "=", `\=`)
	line := fmt.Sprintf("messages,channel=%s,publisher=%s,name=%s value=%g %d", tag.Replace(r.Channel), tag.Replace(r.Publisher), tag.Replace(r.Name), *r.Value, int64(r.Time*1e9))
	to := url.URL{
		Scheme: "http", Host: net.JoinHostPort(h.env["MF_INFLUX_WRITER_DB_HOST"], h.env["MF_INFLUX_WRITER_DB_PORT"]),
		Path: "/write", RawQuery: url.Values{"db": {h.env["MF_INFLUXDB_DB"]}}.Encode(),
	}
	request, err := http.NewRequestWithContext(h.ctx, http.MethodPost, to.String(), strings.NewReader(line))
	if err != nil {
		return err
	}
	request.SetBasicAuth(h.env["MF_INFLUXDB_ADMIN_USER"], h.env["MF_INFLUXDB_ADMIN_PASSWORD"])
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 1<<12))
		return fmt.Errorf("influxdb answers %s: %s", response.Status, body)
	}
	return nil
}
