package fulfilment

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/internal/actor"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/slice"
)

const (
	tokenStart  = "osm_"
	prefixBytes = len(tokenStart) + 8
	// keyMemory is how long a token found good is believed without asking the
	// store: the longest time a revocation takes to be seen by every replica.
	keyMemory = time.Second
	keysKept  = 4096
)

// tokenRE is what a token chosen by an operator must look like: as long as one of
// newToken, so that it can be as hard to guess.
var tokenRE = regexp.MustCompile(`^` + tokenStart + `[A-Za-z0-9_-]{43,200}$`)

// keyCache remembers tokens found good, by the hash of the token.
type keyCache struct {
	mu    sync.Mutex
	known map[string]knownKey
}

type knownKey struct {
	who   actor.Actor
	until time.Time
}

func (c *keyCache) get(hash string, now time.Time) (actor.Actor, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.known[hash]
	return k.who, ok && now.Before(k.until)
}

func (c *keyCache) put(hash string, who actor.Actor, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= keysKept {
		c.known = map[string]knownKey{}
	}
	c.known[hash] = knownKey{who, until}
}

func (c *keyCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known = nil
}

func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// newToken is 256 bits, printable.
func newToken() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // crypto/rand.Read never fails
	return tokenStart + base64.RawURLEncoding.EncodeToString(b)
}

// keyFinder is the optional ability of a store to keep the hashes of tokens
// apart from the keys' documents.
type keyFinder interface {
	KeyByHash(ctx context.Context, hash string) (*slice.APIKey, error)
}

// Authenticate answers who a bearer token belongs to, or
// fault.Unauthenticated.
func (s *Service) Authenticate(ctx context.Context, token string) (actor.Actor, error) {
	refused := fault.New(fault.Unauthenticated, "the API key is not valid")
	if !strings.HasPrefix(token, tokenStart) || len(token) < prefixBytes || len(token) > 256 {
		return actor.Actor{}, refused
	}
	hash, now := hashToken(token), s.now()
	if who, ok := s.keys.get(hash, now); ok {
		return who, nil
	}
	var key *slice.APIKey
	err := s.c.Store.Read(ctx, func(ctx context.Context, tx operation.Tx) (err error) {
		if f, ok := tx.(keyFinder); ok {
			if key, err = f.KeyByHash(ctx, hash); fault.Is(err, fault.NotFound) {
				return nil
			}
			return err
		}
		rs, err := tx.List(ctx, operation.Query{Kind: slice.KindAPIKey, Limit: 16,
			Filter: []operation.Condition{{Op: "eq", Attr: "prefix", Values: []string{token[:prefixBytes]}}}})
		if err != nil {
			return err
		}
		for _, r := range rs {
			k, ok := r.(*slice.APIKey)
			if ok && subtle.ConstantTimeCompare([]byte(k.Hash), []byte(hash)) == 1 {
				key = k
			}
		}
		return nil
	})
	if err != nil {
		return actor.Actor{}, err
	}
	switch {
	case key == nil:
		return actor.Actor{}, refused
	case key.RevokedAt != nil:
		return actor.Actor{}, fault.New(fault.Unauthenticated, "the API key is revoked")
	case key.ExpiresAt != nil && !now.Before(*key.ExpiresAt):
		return actor.Actor{}, fault.New(fault.Unauthenticated, "the API key has expired")
	}
	who := actor.Actor{Key: key.ID, Role: key.Role, Tenants: key.Tenants}
	until := now.Add(keyMemory)
	if key.ExpiresAt != nil && key.ExpiresAt.Before(until) {
		until = *key.ExpiresAt
	}
	s.keys.put(hash, who, until)
	return who, nil
}

// CreateKey makes an API key; Result.Credentials holds its token, told once.
func (s *Service) CreateKey(ctx context.Context, k *slice.APIKey, o Options) (Result, error) {
	if err := require(ctx, administers); err != nil {
		return Result{}, err
	}
	return s.write(ctx, o, func(ctx context.Context, u *unit) (Result, error) {
		c := clone(k)
		token := newToken()
		c.Meta = fresh(c.Meta, slice.System, s.c.NewID())
		c.Hash, c.Prefix, c.RevokedAt = hashToken(token), token[:prefixBytes], nil
		if err := c.Validate(); err != nil {
			return Result{}, err
		}
		if c.ExpiresAt != nil && !s.now().Before(*c.ExpiresAt) {
			return Result{}, fault.Field("expiresAt", c.ExpiresAt.Format(time.RFC3339), "a time to come, or none for a key that does not expire")
		}
		who := actorOf(ctx)
		if !who.All() && (c.Role == slice.SystemAdmin || c.Role == slice.OSS) {
			return Result{}, fault.New(fault.Forbidden, "only a system-admin makes keys of role %s", c.Role)
		}
		for i, t := range c.Tenants {
			id, err := tenantFor(ctx, u.Tx, t, false)
			if err != nil {
				return Result{}, err
			}
			c.Tenants[i] = id
		}
		if len(c.Tenants) == 1 && c.Role != slice.OSS {
			c.Tenant = c.Tenants[0]
		}
		if err := u.Insert(ctx, c); err != nil {
			return Result{}, err
		}
		return Result{Resource: c, Created: true, Credentials: []Credential{{Resource: c.ID, Name: c.Name, Value: token}}}, nil
	})
}

// RevokeKey ends a key for good; its record stays.
func (s *Service) RevokeKey(ctx context.Context, id string, o Options) (Result, error) {
	if err := require(ctx, administers); err != nil {
		return Result{}, err
	}
	out, err := s.write(ctx, o, func(ctx context.Context, u *unit) (Result, error) {
		r, err := owned(ctx, u.Tx, slice.KindAPIKey, id)
		if err != nil {
			return Result{}, err
		}
		k, _ := r.(*slice.APIKey)
		if k.RevokedAt == nil {
			if err := u.spareAdmin(ctx, k); err != nil {
				return Result{}, err
			}
			now := s.now()
			k.RevokedAt = &now
			err = u.Update(ctx, k)
		}
		return Result{Resource: k}, err
	})
	s.keys.clear()
	return out, err
}

// spareAdmin refuses to end the last valid system-admin key: nobody could make
// another, and a start makes one only where there is no key at all.
func (u *unit) spareAdmin(ctx context.Context, k *slice.APIKey) error {
	now := u.s.now()
	valid := func(k *slice.APIKey) bool {
		return k.Role == slice.SystemAdmin && k.RevokedAt == nil && (k.ExpiresAt == nil || now.Before(*k.ExpiresAt))
	}
	if !valid(k) {
		return nil
	}
	rs, err := listAll(ctx, u.Tx, operation.Query{Kind: slice.KindAPIKey,
		Filter: []operation.Condition{{Op: "eq", Attr: "role", Values: []string{string(slice.SystemAdmin)}}}}, u.s.c.Marker)
	if err != nil {
		return err
	}
	for _, r := range rs {
		if o, ok := r.(*slice.APIKey); ok && o.ID != k.ID && valid(o) {
			return nil
		}
	}
	return fault.New(fault.Conflict, "key %q is the last valid system-admin key; make another one first", k.Name)
}

// Bootstrap writes the built-in catalogue and, when there is no key yet, a
// system-admin key, and answers whether it did: one with the token given, or,
// with none given, a new one. That goes to keep before the key is stored: a crash
// in between leaves a token that is good for nothing, never a store whose only
// key nobody knows. keep may be called again.
func (s *Service) Bootstrap(ctx context.Context, given string, keep func(token string) error) (made bool, err error) {
	ctx = actor.With(ctx, actor.Service("bootstrap"))
	if given != "" && !tokenRE.MatchString(given) {
		return false, fault.New(fault.Invalid, "the system-admin key given is not one").With("data.adminkeyfile", "", "osm_ and 43 to 200 characters of [A-Za-z0-9_-]")
	}
	err = s.c.Store.Write(ctx, func(ctx context.Context, tx operation.Tx) error {
		made = false
		for k := range s.c.Built {
			p := clone(&s.c.Built[k])
			_, err := findProduct(ctx, tx, slice.System, p.Name, p.Version)
			if err == nil {
				continue
			}
			if !fault.Is(err, fault.NotFound) {
				return err
			}
			p.ID = s.c.NewID()
			if err := p.Validate(); err != nil {
				return err
			}
			if err := tx.Insert(ctx, p); err != nil {
				return err
			}
		}
		rs, err := tx.List(ctx, operation.Query{Kind: slice.KindAPIKey, Limit: 1})
		if err != nil || len(rs) > 0 {
			return err
		}
		token := given
		if given == "" {
			token = newToken()
			if err := keep(token); err != nil {
				return err
			}
		}
		made = true
		k := &slice.APIKey{Role: slice.SystemAdmin, Prefix: token[:prefixBytes], Hash: hashToken(token)}
		k.ID, k.Tenant, k.Name = s.c.NewID(), slice.System, "first-admin"
		return tx.Insert(ctx, k)
	})
	return made && err == nil, err
}

// PutSecret stores a value under a name of a tenant; the value is never told
// again. A taken name gets a new version.
func (s *Service) PutSecret(ctx context.Context, meta slice.Meta, value []byte, o Options) (Result, error) {
	if err := require(ctx, operates); err != nil {
		return Result{}, err
	}
	if s.c.Secrets == nil {
		return Result{}, fault.New(fault.Unavailable, "this service keeps no secrets")
	}
	return s.write(ctx, o, func(ctx context.Context, u *unit) (Result, error) {
		tenant, err := tenantFor(ctx, u.Tx, meta.Tenant, true)
		if err != nil {
			return Result{}, err
		}
		found, err := s.c.Secrets.Find(ctx, u.Tx, tenant, meta.Name)
		created := fault.Is(err, fault.NotFound)
		switch {
		case created:
			found = &slice.Secret{Meta: fresh(meta, tenant, s.c.NewID())}
			if err := found.Validate(); err != nil {
				return Result{}, err
			}
			found.ID = ""
		case err != nil:
			return Result{}, err
		default:
			if err := o.match(found); err != nil {
				return Result{}, err
			}
		}
		found, err = s.c.Secrets.Put(ctx, u.Tx, *found, value)
		if err != nil {
			return Result{}, err
		}
		u.note(map[bool]string{true: "create", false: "update"}[created], found)
		return Result{Resource: found, Created: created}, nil
	})
}
