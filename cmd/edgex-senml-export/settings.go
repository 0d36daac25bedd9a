package main

// parametersSection is where the parameters are, below the service's key.
const parametersSection = "Writable/Pipeline/Functions/MQTTExport/Parameters"

// nowhere stands for an address or credential while there is none.
const nowhere = "none"

// parameters is where to deliver.
type parameters struct {
	BrokerAddress string // tcp://host:port or ssl://host:port
	Topic         string
	AuthMode      string // "none" or "usernamepassword"
	ClientId      string //nolint:revive,staticcheck // the key's name in the keeper
}

// custom is the part of the configuration that the SDK does not give to
// services with a pipeline of their own.
type custom struct {
	Writable struct {
		Pipeline struct {
			Functions struct {
				MQTTExport struct {
					Parameters parameters
				}
			}
		}
	}
}

// UpdateFromRaw takes what the keeper has.
func (c *custom) UpdateFromRaw(raw any) bool {
	v, ok := raw.(*custom)
	if ok {
		*c = *v
	}
	return ok
}
