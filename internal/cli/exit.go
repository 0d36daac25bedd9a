package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// The exit codes; help exit-codes prints what they mean.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitInvalid     = 5
	exitAccess      = 6
	exitUnreachable = 7
	exitTimeout     = 8
	exitOperation   = 9
	exitInfeasible  = 10
	exitInterrupted = 130
)

const exitCodesHelp = `slicectl ends with

    0  done
    1  failed for another reason than those below
    2  wrong command line, context or input file; nothing was sent
    3  what was named does not exist, or is not this key's to know
    4  conflict: wrong state, name taken, an operation is open, --if-match does not match
    5  refused: a field is wrong (each is printed with what is allowed)
    6  no access: the key is missing, wrong, expired, or may not do this
    7  the service does not answer, or asks to come back later
    8  --timeout was over before it was done
    9  the operation ended, or is held, otherwise than COMPLETED
   10  infeasible: there is no place for it now
  130  interrupted
`

// usageError is a wrong command line, context or input file.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// exitError ends with a code of its own; its text was printed already when
// said is true.
type exitError struct {
	code int
	said bool
	error
}

func (e exitError) Unwrap() error { return e.error }

// exitCode is the code an error ends with.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[exitError](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return exitUsage
	}
	if p, ok := errors.AsType[*problem](err); ok {
		return p.exitCode()
	}
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind != fault.Internal {
		return (&problem{status: f.Kind.Status()}).exitCode() // of a cluster: the same meanings
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	}
	if _, ok := errors.AsType[unreachable](err); ok {
		return exitUnreachable
	}
	return exitFailure
}

func (p *problem) exitCode() int {
	switch p.status {
	case http.StatusNotFound, http.StatusGone:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusSeeOther:
		return exitConflict
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return exitInvalid
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitAccess
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return exitUnreachable
	}
	return exitFailure
}
