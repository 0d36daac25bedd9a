package slice

import (
	"encoding/json"
	"time"
)

// AuditRecord says who changed what, and how it was before and after. Records
// are only ever added.
type AuditRecord struct {
	ID   int64     `json:"id"`
	Time time.Time `json:"time"`
	// Actor is the id of the API key or the component that asked, with its
	// role; Request the id of the API call.
	Actor     string `json:"actorId"`
	Role      Role   `json:"role,omitempty"`
	Request   string `json:"requestId,omitempty"`
	Action    string `json:"action"` // CREATE, UPDATE, DELETE, or an operation's verb
	Kind      Kind   `json:"resourceKind"`
	Resource  string `json:"resourceId"`
	Name      string `json:"resourceName"`
	Tenant    string `json:"tenantId"` // owner of the resource
	Operation string `json:"lcmOpOccId,omitempty"`
	// Before and After are the stored forms; absent at creation and deletion.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Event is one change as subscribers hear of it. Positions have no gaps and
// grow in the order in which changes became visible.
type Event struct {
	Position int64     `json:"position"`
	Time     time.Time `json:"time"`
	// Type is the noun with CreationNotification,
	// AttributeValueChangeNotification or DeletionNotification, or
	// LcmOpOccNotification.
	Type     string `json:"notificationType"`
	Tenant   string `json:"tenantId"`
	Kind     Kind   `json:"resourceKind"`
	Resource string `json:"resourceId"`
	Name     string `json:"resourceName,omitempty"`
	Parent   string `json:"parentId,omitempty"`
	State    string `json:"state,omitempty"`
	// Changes names the attributes that changed.
	Changes []string `json:"changes,omitempty"`
	// Of an operation: its type, state and cause.
	OperationType  string `json:"lcmOperationType,omitempty"`
	OperationState string `json:"operationState,omitempty"`
	Cause          string `json:"cause,omitempty"`
	Revision       int64  `json:"revision,omitempty"`
}

// Sealed is a secret value at rest: encrypted with a data key of its own that
// is itself encrypted with the key-encryption key KeyID.
type Sealed struct {
	Secret     string
	Version    int64
	Tenant     string
	KeyID      string
	WrappedKey []byte // nonce and ciphertext of the data key
	Ciphertext []byte // nonce and ciphertext of the value
}

// KindOperation names lifecycle operation occurrences among kinds; they are no
// Resource.
const KindOperation Kind = "lcmOpOccs"
