package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/supervise"
)

const recordFile = "record.json"

// progress is how far a release's record is, see the package comment.
type progress string

const (
	applying progress = "applying"
	applied  progress = "applied"
	deleting progress = "deleting"
)

// record is what is known of one release. It holds no secret: arguments,
// environment and files are in the unit's specification and directory.
type record struct {
	Version    int               `json:"version"` // 1
	Progress   progress          `json:"progress"`
	Generation int64             `json:"generation"`
	Hash       string            `json:"hash"` // of the wish being brought in, or in force
	Site       string            `json:"site"`
	Slice      string            `json:"slice"`
	Element    string            `json:"element"`
	Release    string            `json:"release"`
	Tenant     string            `json:"tenant,omitempty"`
	Node       string            `json:"node,omitempty"`
	Product    string            `json:"product,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Ports      map[string]int    `json:"ports,omitempty"`
	Endpoints  map[string]string `json:"endpoints,omitempty"`
	Files      []string          `json:"files,omitempty"`
	Storage    int64             `json:"storage,omitempty"`
}

func (r record) ref(s domain.Site) domain.Ref {
	return domain.Ref{Site: s, Slice: r.Slice, Element: r.Element, Release: r.Release, Generation: r.Generation}
}

// readRecord answers nil when there is none. An intent that a power cut left
// unreadable is an intent all the same.
func readRecord(dir string) (*record, error) {
	b, err := os.ReadFile(filepath.Join(dir, recordFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, supervise.IOFault(err, "cannot read a deployment's record")
	}
	var r record
	if json.Unmarshal(b, &r) != nil {
		return &record{Progress: applying, Release: filepath.Base(dir)}, nil
	}
	if r.Version > 1 {
		return nil, fault.New(fault.Unavailable, "the record of a deployment has version %d, this service knows version 1", r.Version)
	}
	return &r, nil
}

func writeRecord(dir string, r *record, durable bool) error {
	r.Version = 1
	b, err := json.Marshal(r)
	if err == nil {
		err = supervise.WriteFile(filepath.Join(dir, recordFile), b, durable)
	}
	if err != nil {
		return supervise.IOFault(err, "cannot write a deployment's record")
	}
	return nil
}

// tombstone remembers the generation of a deleted release.
type tombstone struct {
	Generation int64     `json:"generation"`
	At         time.Time `json:"at"`
}

// fence is a site's tombstones, by release.
type fence struct {
	Version    int                  `json:"version"` // 1
	Tombstones map[string]tombstone `json:"tombstones"`
}

func (p place) fenceFile() string { return filepath.Join(p.dir, "fence.json") }

func (p place) readFence() (fence, error) {
	var f fence
	b, err := os.ReadFile(p.fenceFile())
	switch {
	case errors.Is(err, os.ErrNotExist):
		return f, nil
	case err != nil:
		return f, supervise.IOFault(err, "cannot read the site's fence")
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return f, fault.New(fault.Internal, "the fence of the site is damaged").Because(err)
	}
	return f, nil
}

// guard refuses a generation older than the highest seen for the release.
func (p place) guard(ref domain.Ref, r *record) error {
	f, err := p.readFence()
	if err != nil {
		return err
	}
	seen := f.Tombstones[ref.Release].Generation
	if r != nil {
		seen = max(seen, r.Generation)
	}
	if ref.Generation < seen {
		return fault.New(fault.Conflict, "release %s: generation %d is older than %d, which was seen already", ref.Release, ref.Generation, seen)
	}
	return nil
}

// bury remembers a release's generation past its deletion.
func (d *Driver) bury(ctx context.Context, p place, ref domain.Ref) error {
	lock, err := d.lock(ctx, "fence "+p.dir)
	if err != nil {
		return err
	}
	defer lock.Release()
	if err := d.prepare(p.dir); err != nil {
		return err
	}
	f, err := p.readFence()
	if err != nil {
		return err
	}
	now := time.Now()
	was := f.Tombstones[ref.Release]
	if was.Generation >= ref.Generation && now.Sub(was.At) < FenceKept/4 {
		return nil
	}
	next := fence{Version: 1, Tombstones: map[string]tombstone{}}
	for release, t := range f.Tombstones {
		if now.Sub(t.At) < FenceKept {
			next.Tombstones[release] = t
		}
	}
	next.Tombstones[ref.Release] = tombstone{max(ref.Generation, was.Generation), now}
	b, err := json.Marshal(next)
	if err == nil {
		err = supervise.WriteFile(p.fenceFile(), b, true)
	}
	if err != nil {
		return supervise.IOFault(err, fmt.Sprintf("cannot remember the end of release %s", ref.Release))
	}
	return nil
}
