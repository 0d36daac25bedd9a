package fault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Kind classifies a failure by what the caller of the API must learn.
type Kind uint8

// The kinds. The zero value is Internal: an unclassified error is our bug.
const (
	Internal           Kind = iota // 500: a bug or a broken store
	Malformed                      // 400: syntax: JSON, filter, selector, marker
	Unauthenticated                // 401
	Forbidden                      // 403
	NotFound                       // 404: absent, or not this tenant's to know
	NotAcceptable                  // 406: Version or Accept
	Conflict                       // 409: wrong state, name taken, operation open
	Gone                           // 410: an event position no longer kept
	PreconditionFailed             // 412: If-Match
	TooLarge                       // 413
	UnsupportedMedia               // 415
	Invalid                        // 422: well-formed but wrong
	TooMany                        // 429: rate or backlog limit
	Unavailable                    // 503: a store, site or product does not answer
	Timeout                        // 504: a site or product did not answer in time
	NoSpace                        // 507: disk full
)

var statuses = [...]int{
	Internal: http.StatusInternalServerError, Malformed: http.StatusBadRequest,
	Unauthenticated: http.StatusUnauthorized, Forbidden: http.StatusForbidden,
	NotFound: http.StatusNotFound, NotAcceptable: http.StatusNotAcceptable,
	Conflict: http.StatusConflict, Gone: http.StatusGone,
	PreconditionFailed: http.StatusPreconditionFailed,
	TooLarge:           http.StatusRequestEntityTooLarge,
	UnsupportedMedia:   http.StatusUnsupportedMediaType,
	Invalid:            http.StatusUnprocessableEntity,
	TooMany:            http.StatusTooManyRequests,
	Unavailable:        http.StatusServiceUnavailable,
	Timeout:            http.StatusGatewayTimeout,
	NoSpace:            http.StatusInsufficientStorage,
}

var names = [...]string{
	Internal: "internal", Malformed: "malformed", Unauthenticated: "unauthenticated",
	Forbidden: "forbidden", NotFound: "not-found", NotAcceptable: "not-acceptable",
	Conflict: "conflict", Gone: "gone", PreconditionFailed: "precondition-failed",
	TooLarge: "too-large", UnsupportedMedia: "unsupported-media-type", Invalid: "invalid",
	TooMany: "too-many-requests", Unavailable: "unavailable", Timeout: "timeout", NoSpace: "no-space",
}

// Status is the HTTP status of the kind (RFC 9110).
func (k Kind) Status() int { return statuses[k] }

// String is the kind's name as it appears in problem types and stored causes.
func (k Kind) String() string { return names[k] }

// ParseKind is the inverse of String; an unknown name is Internal.
func ParseKind(s string) Kind {
	for k, n := range names {
		if n == s {
			return Kind(k)
		}
	}
	return Internal
}

// Retry says whether repeating the failed call can help.
type Retry uint8

// The ways to retry. The zero value is Never.
const (
	Never   Retry = iota // a wrong key, a bad value: nothing changes by itself
	Now                  // an optimistic conflict: at once, on fresh state
	Backoff              // an unreachable site: later, and later again
)

// String names the way to retry.
func (r Retry) String() string { return [...]string{"never", "now", "backoff"}[r] }

// Param is one wrong field of an input.
type Param struct {
	Field   string // JSON pointer-like path, "iotGateways/0/name"
	Given   string // what was given, shortened; empty when it must not be told
	Allowed string // what would be accepted
}

// Error is a classified failure. The zero Retry is Never.
type Error struct {
	Kind       Kind
	Retry      Retry
	Detail     string // one sentence for a person, no secrets
	Params     []Param
	RetryAfter time.Duration // a hint for 429 and 503, 0 when none
	Instance   string        // URI of the resource in the way, e.g. the open operation
	cause      error
}

// Error is Detail, then the params, then the cause.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Detail)
	for _, p := range e.Params {
		fmt.Fprintf(&b, "; %s: given %q, allowed: %s", p.Field, p.Given, p.Allowed)
	}
	if e.cause != nil {
		b.WriteString(": ")
		b.WriteString(e.cause.Error())
	}
	return b.String()
}

// Unwrap is the foreign error this one translates, or nil.
func (e *Error) Unwrap() error { return e.cause }

// With adds one wrong field and answers e.
func (e *Error) With(field, given, allowed string) *Error {
	if len(given) > 120 {
		given = given[:117] + "..."
	}
	e.Params = append(e.Params, Param{Field: field, Given: strings.ToValidUTF8(given, "\uFFFD"), Allowed: allowed})
	return e
}

// Because sets the foreign error that e translates and answers e.
func (e *Error) Because(err error) *Error { e.cause = err; return e }

// Retrying sets how repeating helps and answers e.
func (e *Error) Retrying(r Retry) *Error { e.Retry = r; return e }

// New makes an error of a kind; format and args make its Detail.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Detail: fmt.Sprintf(format, args...)}
}

// Field makes an Invalid error about one field.
func Field(field, given, allowed string) *Error {
	return New(Invalid, "%s is not valid", field).With(field, given, allowed)
}

// Absent makes the NotFound of a resource. The same words answer for what does
// not exist and for what another tenant owns.
func Absent(kind, id string) *Error { return New(NotFound, "%s %q does not exist", kind, id) }

// Of answers the classified error in err's chain. An unclassified error comes
// back wrapped: a context's end as Timeout or Unavailable with Backoff,
// anything else as Internal. Of(nil) is nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return New(Timeout, "no answer in time").Because(err).Retrying(Backoff)
	case errors.Is(err, context.Canceled):
		return New(Unavailable, "interrupted").Because(err).Retrying(Backoff)
	}
	return New(Internal, "unexpected failure").Because(err)
}

// Is reports whether err's classified error has the kind.
func Is(err error, k Kind) bool { return err != nil && Of(err).Kind == k }
