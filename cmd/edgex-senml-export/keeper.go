package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/edgexfoundry/go-mod-configuration/v4/configuration"
	"github.com/edgexfoundry/go-mod-configuration/v4/pkg/types"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/common"
)

// keeper reads the settings where they are. The SDK tells of changes that happen
// while it listens; what changes between its first reading and that moment, a
// second or more, it never learns, and a gateway is attached just then.
type keeper struct{ client configuration.Client }

// openKeeper uses the configuration provider that the SDK is started with. With a
// secret store, secrets are not in it, and it wants a token: then there is none.
func openKeeper(args []string) (*keeper, error) {
	address := os.Getenv("EDGEX_CONFIG_PROVIDER")
	for _, a := range args {
		for _, flag := range []string{"-cp=", "--cp=", "-configProvider=", "--configProvider="} {
			if v, ok := strings.CutPrefix(a, flag); ok && address == "" {
				address = v
			}
		}
	}
	if address == "" || os.Getenv("EDGEX_SECURITY_SECRET_STORE") != common.ValueFalse {
		return nil, nil
	}
	c := types.ServiceConfig{BasePath: common.ConfigStemApp + "/" + serviceKey, AuthInjector: tokenless{}}
	if err := c.PopulateFromUrl(address); err != nil {
		return nil, fmt.Errorf("configuration provider %q: %w", address, err)
	}
	client, err := configuration.NewConfigurationClient(c)
	if err != nil {
		return nil, fmt.Errorf("configuration provider %q: %w", address, err)
	}
	return &keeper{client}, nil
}

// tokenless adds nothing to requests.
type tokenless struct{}

func (tokenless) AddAuthenticationData(*http.Request) error { return nil }
func (tokenless) RoundTripper() http.RoundTripper           { return http.DefaultTransport }

// look answers where to deliver, and as whom, as the keeper says now.
func (k *keeper) look() (target, error) {
	var s struct {
		Writable struct {
			Pipeline struct {
				Functions struct {
					MQTTExport struct{ Parameters parameters }
				}
			}
			InsecureSecrets map[string]struct {
				SecretName string
				SecretData map[string]string
			}
		}
	}
	if _, err := k.client.GetConfiguration(&s); err != nil {
		return target{}, err
	}
	t := target{parameters: s.Writable.Pipeline.Functions.MQTTExport.Parameters}
	secret := s.Writable.InsecureSecrets[secretName].SecretData
	if t.authenticated() {
		t.username, t.password = secret["username"], secret["password"]
	}
	return t, nil
}
