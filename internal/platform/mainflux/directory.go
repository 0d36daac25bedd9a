package mainflux

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// pageSize is how many entries one search answers; the product allows 100.
const pageSize = 100

// kinds of entries, which are paths of things.
const (
	things   = "things"
	channels = "channels"
)

// metadata marks what was made here, for a person who looks.
type metadata struct {
	Gateway   string `json:"gateway"`
	ManagedBy string `json:"managedBy"`
}

type entry struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name"`
	Key  string `json:"key,omitempty"`
}

// find answers the ids of every thing or channel with exactly that name,
// sorted. The product's own search is by substring.
func (in *session) find(ctx context.Context, kind, name string) ([]string, error) {
	var ids []string
	for offset := 0; ; offset += pageSize {
		q := url.Values{"offset": {strconv.Itoa(offset)}, "limit": {strconv.Itoa(pageSize)}, "name": {name}}
		ans, err := in.do(ctx, http.MethodGet, "/"+kind+"?"+q.Encode(), nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Total    int     `json:"total"`
			Things   []entry `json:"things"`
			Channels []entry `json:"channels"`
		}
		if err := json.Unmarshal(ans.Body, &page); err != nil {
			return nil, fault.New(fault.Unavailable, "%s answered no list of %s", product, kind).Because(err).Retrying(fault.Backoff)
		}
		got := append(page.Things, page.Channels...)
		for _, e := range got {
			if e.Name == name {
				ids = append(ids, e.ID)
			}
		}
		if len(got) == 0 || offset+len(got) >= page.Total {
			slices.Sort(ids)
			return slices.Compact(ids), nil
		}
	}
}

// ensure answers the id of the thing or channel with that name, made if absent.
func (in *session) ensure(ctx context.Context, kind, name string) (string, error) {
	ids, err := in.find(ctx, kind, name)
	if err != nil {
		return "", err
	}
	if len(ids) > 0 {
		return ids[0], nil
	}
	body := struct {
		Name     string   `json:"name"`
		Metadata metadata `json:"metadata"`
	}{name, metadata{name, "osmoslice"}}
	ans, err := in.do(ctx, http.MethodPost, "/"+kind, body)
	if err != nil {
		return "", err
	}
	// The body is empty; Location is all there is.
	if at, id := path.Split(ans.Location); path.Base(at) == kind && id != "" {
		return id, nil
	}
	return "", fault.New(fault.Unavailable, "%s made one of %s and answered no Location", product, kind).Retrying(fault.Backoff)
}

// key reads a thing's key.
func (in *session) key(ctx context.Context, thing string) (string, error) {
	ans, err := in.do(ctx, http.MethodGet, "/"+things+"/"+url.PathEscape(thing), nil)
	if err != nil {
		return "", err
	}
	var e entry
	if err := json.Unmarshal(ans.Body, &e); err != nil || e.Key == "" {
		return "", fault.New(fault.Unavailable, "%s answered a thing without its key", product).Retrying(fault.Backoff)
	}
	return e.Key, nil
}

// link lets a thing use a channel; 409 says that it may already.
func (in *session) link(ctx context.Context, channel, thing string) error {
	_, err := in.do(ctx, http.MethodPut, linkPath(channel, thing), nil, http.StatusConflict)
	return err
}

func linkPath(channel, thing string) string {
	return "/" + channels + "/" + url.PathEscape(channel) + "/" + things + "/" + url.PathEscape(thing)
}

// remove deletes; what is not there is removed.
func (in *session) remove(ctx context.Context, at string) error {
	_, err := in.do(ctx, http.MethodDelete, at, nil, http.StatusNotFound)
	return err
}
