package httpcall

import (
	"encoding/base64"
	"encoding/json"

	"github.com/osmoslice/osmoslice/internal/platform"
)

// Messages reads a page of readings as Mainflux's reader answers it, and
// lite-server after it.
func Messages(body []byte) ([]platform.Reading, error) {
	var page struct {
		Messages []struct {
			Name  string   `json:"name"`
			Unit  string   `json:"unit"`
			Time  float64  `json:"time"`
			Value *float64 `json:"value"`
			Text  *string  `json:"string_value"`
			Bool  *bool    `json:"bool_value"`
			Data  *string  `json:"data_value"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, err
	}
	out := make([]platform.Reading, 0, len(page.Messages))
	for _, m := range page.Messages {
		r := platform.Reading{Name: m.Name, Unit: m.Unit, Time: m.Time}
		switch {
		case m.Value != nil:
			r.Value = *m.Value
		case m.Text != nil:
			r.Value = *m.Text
		case m.Bool != nil:
			r.Value = *m.Bool
		case m.Data != nil:
			b, err := base64.RawURLEncoding.DecodeString(*m.Data)
			if err != nil {
				b = []byte(*m.Data)
			}
			r.Value = b
		}
		out = append(out, r)
	}
	return out, nil
}
