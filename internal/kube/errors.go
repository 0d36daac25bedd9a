package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/osmoslice/osmoslice/internal/fault"
)

// Fault classifies an error of the API; what is the sentence that begins the
// detail ("cannot read the record"). A classified error passes unchanged, nil
// stays nil.
func Fault(err error, what string, args ...any) error {
	var known *fault.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	f := classify(err)
	what = fmt.Sprintf(what, args...)
	return fault.New(f.kind, "%s", what).Because(err).Retrying(f.retry)
}

type class struct {
	kind  fault.Kind
	retry fault.Retry
}

// classify says what an error of the API server or of the way to it means.
func classify(err error) class {
	if text := err.Error(); strings.Contains(text, "exceeded quota") {
		return class{fault.NoSpace, fault.Backoff}
	} else if strings.Contains(text, "because it is being terminated") {
		return class{fault.Conflict, fault.Backoff}
	}
	switch apierrors.ReasonForError(err) {
	case metav1.StatusReasonUnauthorized:
		return class{fault.Forbidden, fault.Never}
	case metav1.StatusReasonForbidden:
		return class{fault.Forbidden, fault.Never}
	case metav1.StatusReasonNotFound, metav1.StatusReasonGone, metav1.StatusReasonExpired:
		return class{fault.NotFound, fault.Backoff}
	case metav1.StatusReasonConflict, metav1.StatusReasonAlreadyExists:
		return class{fault.Conflict, fault.Now}
	case metav1.StatusReasonInvalid, metav1.StatusReasonBadRequest, metav1.StatusReasonMethodNotAllowed,
		metav1.StatusReasonNotAcceptable, metav1.StatusReasonUnsupportedMediaType, metav1.StatusReasonRequestEntityTooLarge:
		return class{fault.Invalid, fault.Never}
	case metav1.StatusReasonTooManyRequests, metav1.StatusReasonServiceUnavailable, metav1.StatusReasonInternalError:
		return class{fault.Unavailable, fault.Backoff}
	case metav1.StatusReasonTimeout, metav1.StatusReasonServerTimeout:
		return class{fault.Timeout, fault.Backoff}
	}
	var status apierrors.APIStatus
	var op net.Error
	var way *lost
	switch {
	case errors.As(err, &status) && status.Status().Code >= 500:
		return class{fault.Unavailable, fault.Backoff}
	case errors.Is(err, context.DeadlineExceeded):
		return class{fault.Timeout, fault.Backoff}
	case errors.Is(err, context.Canceled), errors.Is(err, errSilent), errors.As(err, &way), errors.As(err, &op), offline(err):
		return class{fault.Unavailable, fault.Backoff}
	case meta.IsNoMatchError(err):
		return class{fault.Invalid, fault.Never}
	}
	return class{fault.Unavailable, fault.Backoff}
}

// offline knows the texts of errors that lost their type on the way.
func offline(err error) bool {
	text := err.Error()
	for _, s := range []string{"connection refused", "connection reset", "no route to host", "EOF", "i/o timeout",
		"context deadline exceeded", "client rate limiter", "network is unreachable", errSilent.Error()} {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}
