package slice

// ServiceProfile carries the requirements of a slice under the names of 3GPP
// TS 28.541 §6.3.3 (Rel-18). Pointers are absent attributes.
type ServiceProfile struct {
	MaxNumberofUEs       *float64            `json:"maxNumberofUEs,omitempty"`
	TermDensity          *TermDensity        `json:"termDensity,omitempty"`
	UEMobilityLevel      string              `json:"uEMobilityLevel,omitempty"`
	UESpeed              *int64              `json:"uESpeed,omitempty"`   // km/h
	DLLatency            *float64            `json:"dLLatency,omitempty"` // ms
	ULLatency            *float64            `json:"uLLatency,omitempty"` // ms
	Availability         *float64            `json:"availability,omitempty"`
	DLReliability        *float64            `json:"dLReliability,omitempty"`
	ULReliability        *float64            `json:"uLReliability,omitempty"`
	Jitter               *float64            `json:"jitter,omitempty"`
	DLPktDelayVariation  *float64            `json:"dLPktDelayVariation,omitempty"`
	ULPktDelayVariation  *float64            `json:"uLPktDelayVariation,omitempty"`
	DLThptPerSlice       *Throughput         `json:"dLThptPerSlice,omitempty"` // kbit/s
	ULThptPerSlice       *Throughput         `json:"uLThptPerSlice,omitempty"`
	DLThptPerUE          *Throughput         `json:"dLThptPerUE,omitempty"`
	ULThptPerUE          *Throughput         `json:"uLThptPerUE,omitempty"`
	MaxNumberofPDUSess   *MaxNumberofPDUSess `json:"maxNumberofPDUSessions,omitempty"`
	DLMaxPktSize         *MaxPktSize         `json:"dLMaxPktSize,omitempty"`
	ULMaxPktSize         *MaxPktSize         `json:"uLMaxPktSize,omitempty"`
	NBIoT                *Support            `json:"nBIoT,omitempty"`
	AccessTechnologies   []string            `json:"accessTechnologies,omitempty"`
	NonIPSupport         *Support            `json:"nonIPSupport,omitempty"`
	DelayTolerance       *Support            `json:"delayTolerance,omitempty"`
	CoverageArea         []GeoArea           `json:"coverageArea,omitempty"`
	NetworkSliceSharing  string              `json:"networkSliceSharingIndicator,omitempty"`
	EnergyEfficiency     *EnergyEfficiency   `json:"energyEfficiency,omitempty"`
	SST                  *int64              `json:"sst,omitempty"`
	PLMNInfoList         []PLMNInfo          `json:"plmnInfoList,omitempty"`
	SliceSimultaneousUse *int64              `json:"sliceSimultaneousUse,omitempty"` // 0..4
	KPIMonitoring        *KPIMonitoring      `json:"kPIMonitoring,omitempty"`
}

// TermDensity is the overall user density, UEs per km².
type TermDensity struct {
	Density float64 `json:"density"`
}

// Throughput is a guaranteed and a maximum rate in kbit/s.
type Throughput struct {
	GuaThpt *float64 `json:"guaThpt,omitempty"`
	MaxThpt *float64 `json:"maxThpt,omitempty"`
}

// MaxNumberofPDUSess bounds concurrent PDU sessions.
type MaxNumberofPDUSess struct {
	NOofPDUSessions int64 `json:"nOofPDUSessions"`
}

// MaxPktSize bounds the packet size in octets.
type MaxPktSize struct {
	Maxsize int64 `json:"maxsize"`
}

// Support is SUPPORTED or NOT_SUPPORTED (3GPP Support enum).
type Support struct {
	Support string `json:"support"`
}

// GeoArea is a polygon of at least three corners (3GPP TS 28.622 GeoArea).
type GeoArea struct {
	ConvexGeoPolygon []GeoCoordinate `json:"convexGeoPolygon"`
}

// GeoCoordinate is WGS 84 degrees.
type GeoCoordinate struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

// EnergyEfficiency is the required KPI.
type EnergyEfficiency struct {
	Performance *EEPerfReq `json:"performance,omitempty"`
}

// EEPerfReq is MAXREGSUBS or MEANACTIVEUES with its required value.
type EEPerfReq struct {
	KPIType string  `json:"kpiType"`
	Req     float64 `json:"req"`
}

// PLMNInfo is a PLMN and its S-NSSAI.
type PLMNInfo struct {
	PLMNID PLMNID `json:"plmnId"`
	SNSSAI SNSSAI `json:"snssai"`
}

// PLMNID is mobile country and network code (3GPP TS 23.003 §2.2).
type PLMNID struct {
	MCC string `json:"mcc"`
	MNC string `json:"mnc"`
}

// SNSSAI is slice/service type and differentiator (3GPP TS 23.003 §28.4).
type SNSSAI struct {
	SST int64  `json:"sst"`
	SD  string `json:"sd,omitempty"` // six hexadecimal digits
}

// KPIMonitoring lists the KPIs to watch.
type KPIMonitoring struct {
	KPIList []string `json:"kPIList"`
}
