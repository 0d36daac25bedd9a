package slice

// Device is an IoT device of a slice, reached through one gateway.
type Device struct {
	Meta
	Slice string `json:"iotSliceId"`
	// Gateway is the gateway's name within the slice.
	Gateway  string `json:"iotGateway"`
	Protocol string `json:"protocol"` // MQTT, HTTP or COAP
	// Address is where commands reach the device, when it does not connect.
	Address    string      `json:"address,omitempty"`
	Format     string      `json:"format,omitempty"` // SENML_JSON, SENML_CBOR, PLAIN, JSON; empty: all accepted
	Magnitudes []Magnitude `json:"magnitudes,omitempty"`
	Actions    []Action    `json:"actions,omitempty"`
	// CredentialsRef is the secret the device authenticates with; made by the
	// service when not given, and then told once.
	CredentialsRef string          `json:"credentialsRef,omitempty"`
	Identity       *DeviceIdentity `json:"identity,omitempty"`
	Virtual        bool            `json:"virtual,omitempty"`

	State State  `json:"state"`
	Cause string `json:"cause,omitempty"`
	// ProvisionedHash is the hash of what the gateway was last told.
	ProvisionedHash string `json:"provisionedHash,omitempty"`
}

// Kind is KindIoTDevice.
func (*Device) Kind() Kind { return KindIoTDevice }

// Parent is the slice.
func (d *Device) Parent() string { return d.Slice }

// Magnitude is one thing a device measures. Unit is a SenML unit (RFC 8428
// §12.1); Type is number (default), string, boolean or data.
type Magnitude struct {
	Name            string   `json:"name"`
	Unit            string   `json:"unit,omitempty"`
	Type            string   `json:"type,omitempty"`
	Min             *float64 `json:"min,omitempty"`
	Max             *float64 `json:"max,omitempty"`
	Deadband        float64  `json:"deadband,omitempty"`
	Aggregate       string   `json:"aggregate,omitempty"` // mean, min, max, sum, count
	AggregateWindow float64  `json:"aggregateWindowSeconds,omitempty"`
}

// Action is one thing a device can be told.
type Action struct {
	Name string `json:"name"`
	Type string `json:"type,omitempty"`
	Unit string `json:"unit,omitempty"`
}

// DeviceIdentity says which physical thing a device is.
type DeviceIdentity struct {
	Serial string `json:"serial,omitempty"`
	MAC    string `json:"mac,omitempty"`
	SUPI   string `json:"supi,omitempty"`  // 3GPP TS 23.003 §2.2A
	ICCID  string `json:"iccid,omitempty"` // ITU-T E.118
}
