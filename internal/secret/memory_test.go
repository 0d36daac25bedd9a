package secret_test

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

// memory is as much of a store as the vault needs. The vault on the real store
// is tested there.
type memory struct {
	operation.Tx // what the vault does not call
	mu           sync.Mutex
	secrets      map[string]slice.Secret
	sealed       []slice.Sealed
	failAfter    int // Write fails after so many calls; 0: never
}

func newMemory() *memory { return &memory{secrets: map[string]slice.Secret{}} }

func (m *memory) Write(ctx context.Context, fn func(context.Context, operation.Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failAfter > 0 {
		if m.failAfter++; m.failAfter > 4 {
			return errors.New("the process dies")
		}
	}
	return fn(ctx, m)
}

func (m *memory) Read(ctx context.Context, fn func(context.Context, operation.Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fn(ctx, m)
}

func (m *memory) Get(_ context.Context, _ slice.Kind, id string) (slice.Resource, error) {
	if s, ok := m.secrets[id]; ok {
		return &s, nil
	}
	return nil, fault.Absent("Secret", id)
}

func (m *memory) ByName(_ context.Context, _ slice.Kind, tenant, _, name string) (slice.Resource, error) {
	for _, s := range m.secrets {
		if s.Tenant == tenant && s.Name == name {
			return &s, nil
		}
	}
	return nil, fault.Absent("Secret", name)
}

func (m *memory) Insert(_ context.Context, r slice.Resource) error {
	h := r.Head()
	h.ID, h.Revision = slice.NewID(), 1
	m.secrets[h.ID] = *r.(*slice.Secret)
	return nil
}

func (m *memory) Update(_ context.Context, r slice.Resource) error {
	r.Head().Revision++
	m.secrets[r.Head().ID] = *r.(*slice.Secret)
	return nil
}

func (m *memory) Delete(_ context.Context, r slice.Resource) error {
	delete(m.secrets, r.Head().ID)
	return nil
}

func (m *memory) PutSealed(_ context.Context, s slice.Sealed) error {
	m.sealed = append(m.sealed, s)
	return nil
}

func (m *memory) Sealed(_ context.Context, id string) (slice.Sealed, bool, error) {
	var best slice.Sealed
	had := false
	for _, s := range m.sealed {
		if s.Secret == id && s.Version > best.Version {
			best, had = s, true
		}
	}
	return best, had, nil
}

func (m *memory) SealedUnder(_ context.Context, not string, limit int) ([]slice.Sealed, error) {
	var out []slice.Sealed
	for _, s := range m.sealed {
		if s.KeyID != not && len(out) < limit {
			out = append(out, s)
		}
	}
	return out, nil
}

func (m *memory) SealKeys(context.Context) ([]string, error) {
	var out []string
	for _, s := range m.sealed {
		if !slices.Contains(out, s.KeyID) {
			out = append(out, s.KeyID)
		}
	}
	return out, nil
}

func (m *memory) Rewrap(_ context.Context, old slice.Sealed, id string, wrapped []byte) error {
	for i, s := range m.sealed {
		if s.Secret == old.Secret && s.Version == old.Version && s.KeyID == old.KeyID {
			m.sealed[i].KeyID, m.sealed[i].WrappedKey = id, wrapped
		}
	}
	return nil
}

func (m *memory) DeleteSealed(_ context.Context, id string, version int64) error {
	m.sealed = slices.DeleteFunc(m.sealed, func(s slice.Sealed) bool {
		return s.Secret == id && (version == 0 || s.Version < version)
	})
	return nil
}

func (m *memory) row(id string) slice.Sealed {
	s, _, _ := m.Sealed(context.Background(), id)
	return s
}

func (m *memory) replace(id string, with slice.Sealed) {
	for i := range m.sealed {
		if m.sealed[i].Secret == id {
			with.Secret = id
			m.sealed[i] = with
		}
	}
}
