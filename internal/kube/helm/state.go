package helm

import (
	"fmt"
	"slices"
	"time"
)

// Status is Helm's word for the state of a revision.
type Status string

// Helm's statuses.
const (
	Deployed        Status = "deployed"
	Superseded      Status = "superseded"
	Failed          Status = "failed"
	PendingInstall  Status = "pending-install"
	PendingUpgrade  Status = "pending-upgrade"
	PendingRollback Status = "pending-rollback"
	Uninstalling    Status = "uninstalling"
	Uninstalled     Status = "uninstalled"
)

// Revision is one recorded revision of a release.
type Revision struct {
	Number      int
	Status      Status
	Digest      string // of chart and values; empty: not one of ours
	Description string // Helm's: the cause of a failure
	Updated     time.Time
}

// State is all that is recorded of a release, oldest first. The zero State is
// that of a release which is not there.
type State []Revision

// Last is the newest revision, ok false when there is none.
func (s State) Last() (r Revision, ok bool) {
	if len(s) == 0 {
		return Revision{}, false
	}
	return s[len(s)-1], true
}

// Action is what is done to a release.
type Action string

// The actions.
const (
	Done     Action = "done"
	Install  Action = "install"
	Upgrade  Action = "upgrade"
	Rollback Action = "rollback"
	Unlock   Action = "unlock"
	Purge    Action = "purge"
)

// Step is the next action, on or to a revision, and why.
type Step struct {
	Action   Action
	Revision int // Unlock: the pending one; Rollback: the one to return to
	Reason   string
}

// Next chooses what brings a release nearer to the wish with a digest. It is
// pure.
func Next(s State, digest string) Step {
	last, ok := s.Last()
	if !ok {
		return Step{Action: Install, Reason: "nothing is installed"}
	}
	switch last.Status {
	case PendingInstall, PendingUpgrade, PendingRollback:
		return Step{Action: Unlock, Revision: last.Number, Reason: fmt.Sprintf("revision %d was left %s", last.Number, last.Status)}
	case Uninstalling, Uninstalled:
		return Step{Action: Purge, Reason: fmt.Sprintf("revision %d was left %s", last.Number, last.Status)}
	case Deployed:
		if last.Digest == digest {
			return Step{Action: Done, Revision: last.Number}
		}
	}
	reason := fmt.Sprintf("revision %d is %s with another wish", last.Number, last.Status)
	if last.Digest == digest {
		reason = fmt.Sprintf("revision %d is %s: %s", last.Number, last.Status, last.Description)
	}
	for _, r := range slices.Backward(s) {
		if r.Digest == digest && digest != "" && (r.Status == Superseded || r.Status == Deployed) {
			return Step{Action: Rollback, Revision: r.Number, Reason: reason}
		}
	}
	return Step{Action: Upgrade, Reason: reason}
}

// Gone chooses what brings a release nearer to not being there. It is pure.
func Gone(s State) Step {
	last, ok := s.Last()
	if !ok {
		return Step{Action: Done}
	}
	return Step{Action: Purge, Revision: last.Number, Reason: fmt.Sprintf("revision %d is %s", last.Number, last.Status)}
}

// FirstCause is the description of the oldest failure after the last success:
// later ones are often only its consequences.
func (s State) FirstCause() string {
	cause := ""
	for _, r := range slices.Backward(s) {
		if r.Status == Deployed || r.Status == Superseded {
			break
		}
		if r.Status == Failed && r.Description != "" {
			cause = r.Description
		}
	}
	return cause
}
