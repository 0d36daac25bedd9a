package app

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/osmoslice/osmoslice/domains/simulated"
	"github.com/osmoslice/osmoslice/internal/fault"
	"github.com/osmoslice/osmoslice/internal/operation"
	"github.com/osmoslice/osmoslice/internal/rest"
	"github.com/osmoslice/osmoslice/internal/secret"
	"github.com/osmoslice/osmoslice/internal/slice"
	"github.com/osmoslice/osmoslice/internal/store"
)

// The bridges join what one adapter needs to what another offers: adapters do
// not know each other.

// idempotency keeps rest's answers in the store. One that tells a credential is
// kept as the secrets are: encrypted.
type idempotency struct {
	db    *store.DB
	vault *secret.Vault
}

// sealedMark precedes the header of an answer whose body is sealed.
const sealedMark = "sealed "

func (i idempotency) Claim(ctx context.Context, scope, key, hash string, patience time.Duration) (*rest.Answer, error) {
	// A plain hash would let who reads the database guess a secret that was sent.
	status, header, body, err := i.db.ClaimKey(ctx, scope, key, i.vault.Fingerprint(hash), patience)
	if err != nil || status == 0 {
		return nil, err
	}
	a := &rest.Answer{Status: status, Header: header, Body: body}
	if a.Header, a.Secret = strings.CutPrefix(header, sealedMark); !a.Secret {
		return a, nil
	}
	err = i.db.Read(ctx, func(ctx context.Context, tx operation.Tx) (err error) {
		a.Body, err = i.vault.Kept(ctx, tx, store.AnswerID(scope, key), scope)
		return err
	})
	return a, err
}

func (i idempotency) Finish(ctx context.Context, scope, key string, a rest.Answer) error {
	if !a.Secret {
		return i.db.FinishKey(ctx, scope, key, a.Status, a.Header, a.Body)
	}
	return i.db.Write(ctx, func(ctx context.Context, tx operation.Tx) error {
		if err := i.vault.Keep(ctx, tx, store.AnswerID(scope, key), scope, a.Body); err != nil {
			return err
		}
		t, ok := tx.(*store.Tx)
		if !ok {
			return fault.New(fault.Internal, "the store keeps no answers")
		}
		return t.FinishKey(ctx, scope, key, a.Status, sealedMark+a.Header, nil)
	})
}

func (i idempotency) Drop(ctx context.Context, scope, key string) error {
	return i.db.DropKey(ctx, scope, key)
}

// audit reads the store's trail for rest.
type audit struct{ db *store.DB }

func (a audit) Audits(ctx context.Context, q rest.AuditQuery) ([]slice.AuditRecord, string, error) {
	limit := q.Limit
	if limit <= 0 || limit > 1000 {
		limit = 100
	}
	query := operation.Query{Kind: store.KindAudit, Tenants: q.Tenants, Parent: q.Resource, After: q.After, Limit: limit}
	for attr, v := range map[string]string{"actorId": q.Actor, "action": q.Action, "resourceKind": string(q.Kind)} {
		if v != "" {
			query.Filter = append(query.Filter, operation.Condition{Op: "eq", Attr: attr, Values: []string{v}})
		}
	}
	records, err := a.db.Audits(ctx, query)
	if err != nil || len(records) < limit {
		return records, "", err
	}
	return records, store.Marker(store.KindAudit, strconv.FormatInt(records[len(records)-1].ID, 10)), nil
}

// simulations scripts simulated sites for rest; the scripts set by API are the
// driver's to keep.
type simulations struct {
	d  *simulated.Driver
	mu sync.Mutex // between looking at what is in force and replacing it
}

func (s *simulations) Script(ctx context.Context, infrastructure string) ([]byte, int64, error) {
	script, err := s.d.InForce(ctx, infrastructure)
	if err != nil {
		return nil, 0, err
	}
	b, err := json.Marshal(script)
	if err != nil {
		return nil, 0, fault.New(fault.Internal, "the script cannot be written").Because(err)
	}
	sum := sha256.Sum256(b)
	return b, int64(binary.BigEndian.Uint64(sum[:])>>1) | 1, nil
}

func (s *simulations) SetScript(ctx context.Context, infrastructure string, raw []byte, ifMatch int64, dry bool) error {
	script, err := simulated.ParseScript(raw)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ifMatch != 0 {
		_, now, err := s.Script(ctx, infrastructure)
		if err != nil {
			return err
		}
		if now != ifMatch {
			return fault.New(fault.PreconditionFailed, "the script in force has revision %d, not %d", now, ifMatch)
		}
	}
	if dry {
		return nil
	}
	return s.d.Script(ctx, infrastructure, script)
}
