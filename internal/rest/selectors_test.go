package rest

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/osmoslice/osmoslice/internal/fault"
)

const selected = `{"id":"1","name":"n","revision":9007199254740993,"serviceProfile":{"dLLatency":5,"sst":3,"plmnInfoList":[{"plmnId":{"mcc":"1","mnc":"2"}}]},"labels":{"a":"b","c":"d"},"nest":{"attributes":[]},"state":"ACTIVE"}`

func TestSelectors(t *testing.T) {
	of := testAPI(t).shapes["IoTSlice"]
	for query, want := range map[string]string{
		"":                          selected,
		"all_fields":                selected,
		"fields=state":              `{"id":"1","name":"n","revision":9007199254740993,"state":"ACTIVE"}`,
		"fields=serviceProfile/sst": `{"id":"1","name":"n","revision":9007199254740993,"serviceProfile":{"sst":3}}`,
		"fields=labels/a,labels/zz": `{"id":"1","labels":{"a":"b"},"name":"n","revision":9007199254740993}`,
		"fields=serviceProfile/plmnInfoList/plmnId/mnc": `{"id":"1","name":"n","revision":9007199254740993,"serviceProfile":{"plmnInfoList":[{"plmnId":{"mnc":"2"}}]}}`,
		"exclude_fields=serviceProfile,labels/a,nest":   `{"id":"1","labels":{"c":"d"},"name":"n","revision":9007199254740993,"state":"ACTIVE"}`,
		"exclude_fields=id,serviceProfile,labels,nest":  `{"id":"1","name":"n","revision":9007199254740993,"state":"ACTIVE"}`,
		"exclude_default&exclude_fields=serviceProfile": `{"id":"1","labels":{"a":"b","c":"d"},"name":"n","revision":9007199254740993,"state":"ACTIVE"}`,
		"exclude_default&fields=nest":                   `{"id":"1","name":"n","nest":{"attributes":[]},"revision":9007199254740993}`,
	} {
		s, err := parseSelector(httptest.NewRequest(http.MethodGet, "/?"+query, nil), of)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		got, err := s.apply([]byte(selected))
		if err != nil || string(got) != want {
			t.Errorf("%s:\n%s, %v\nwant\n%s", query, got, err, want)
		}
	}
	for _, query := range []string{
		"fields=nope", "exclude_fields=serviceProfile/nope", "fields=state/x", "all_fields&fields=state",
		"fields=state&exclude_fields=nest", "all_fields&exclude_default", "fields=,", "fields=state,",
	} {
		if _, err := parseSelector(httptest.NewRequest(http.MethodGet, "/?"+query, nil), of); !fault.Is(err, fault.Malformed) || len(fault.Of(err).Params) == 0 {
			t.Errorf("%s: %v; want a Malformed fault that names the selector", query, err)
		}
	}
}

func FuzzSelector(f *testing.F) {
	for _, s := range []string{"state", "a/b,c", "~0~1", "serviceProfile/plmnInfoList/plmnId", "labels/x~1y", ",,"} {
		f.Add(s, false)
		f.Add(s, true)
	}
	of := testAPI(f).shapes["IoTSlice"]
	f.Fuzz(func(t *testing.T, list string, exclude bool) {
		name := "fields"
		if exclude {
			name = "exclude_fields"
		}
		s, err := parseSelector(httptest.NewRequest(http.MethodGet, "/?"+url.Values{name: {list}}.Encode(), nil), of)
		if err != nil {
			if !fault.Is(err, fault.Malformed) {
				t.Fatal(err)
			}
			return
		}
		if _, err := s.apply([]byte(selected)); err != nil {
			t.Fatal(err)
		}
	})
}
