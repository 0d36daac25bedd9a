package slice

// The network's own nouns: stored, related and readable; domains realise them
// later.

// NetworkSlice is a 3GPP network slice with its subnets and functions.
type NetworkSlice struct {
	Meta
	ServiceProfile *ServiceProfile `json:"serviceProfile,omitempty"`
	Subnets        []string        `json:"networkSliceSubnetIds,omitempty"`
	State          State           `json:"state"`
}

// Kind is KindNetworkSlice.
func (*NetworkSlice) Kind() Kind { return KindNetworkSlice }

// Parent is "".
func (*NetworkSlice) Parent() string { return "" }

// NetworkSliceSubnet is an access, transport or core part of a network slice.
// SubnetType is TOP_SLICESUBNET, RAN_SLICESUBNET, CN_SLICESUBNET (3GPP) or
// TRANSPORT (ours; 3GPP has none).
type NetworkSliceSubnet struct {
	Meta
	NetworkSlice     string          `json:"networkSliceId"`
	SubnetType       string          `json:"networkSliceSubnetType"`
	RAT              []string        `json:"rat,omitempty"` // NB_IOT, LTE_M, GSM, WIFI
	VPN              string          `json:"vpn,omitempty"`
	UPF              string          `json:"upf,omitempty"`
	SliceProfile     *ServiceProfile `json:"sliceProfile,omitempty"`
	NetworkFunctions []string        `json:"networkFunctionIds,omitempty"`
	State            State           `json:"state"`
}

// Kind is KindNetworkSliceSubnet.
func (*NetworkSliceSubnet) Kind() Kind { return KindNetworkSliceSubnet }

// Parent is the network slice.
func (n *NetworkSliceSubnet) Parent() string { return n.NetworkSlice }

// NetworkFunction is a virtual (VNF) or physical (PNF) function.
type NetworkFunction struct {
	Meta
	FunctionType   string              `json:"networkFunctionType"` // VNF or PNF
	Infrastructure string              `json:"infrastructureId,omitempty"`
	NetworkSlice   string              `json:"networkSliceId,omitempty"`
	Interfaces     []ExternalInterface `json:"externalInterfaces,omitempty"`
	State          State               `json:"state"`
}

// ExternalInterface is where a network function meets others.
type ExternalInterface struct {
	Name    string `json:"name"`
	Address string `json:"address,omitempty"`
	Type    string `json:"type,omitempty"`
}

// Kind is KindNetworkFunction.
func (*NetworkFunction) Kind() Kind { return KindNetworkFunction }

// Parent is "".
func (*NetworkFunction) Parent() string { return "" }

// CommunicationService is the service that slices deliver to a customer (3GPP
// TS 28.530 §4.1.2).
type CommunicationService struct {
	Meta
	Customer    string   `json:"customer,omitempty"`
	ServiceType string   `json:"serviceType,omitempty"`
	IoTSlices   []string `json:"iotSliceIds,omitempty"`
	State       State    `json:"state"`
}

// Kind is KindCommunicationService.
func (*CommunicationService) Kind() Kind { return KindCommunicationService }

// Parent is "".
func (*CommunicationService) Parent() string { return "" }
