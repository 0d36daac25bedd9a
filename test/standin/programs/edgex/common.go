package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/edgexfoundry/go-mod-bootstrap/v4/bootstrap/environment"
	"github.com/edgexfoundry/go-mod-bootstrap/v4/bootstrap/flags"
	"github.com/edgexfoundry/go-mod-bootstrap/v4/bootstrap/startup"
	"github.com/edgexfoundry/go-mod-bootstrap/v4/config"
	"github.com/edgexfoundry/go-mod-configuration/v4/configuration"
	"github.com/edgexfoundry/go-mod-configuration/v4/pkg/types"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/clients/logger"
	"github.com/edgexfoundry/go-mod-core-contracts/v4/common"
	"gopkg.in/yaml.v3"
)

// bootstrapCommon writes the configuration that all services share into the
// keeper, section by section, keeps what is there, and says that it is done. It
// ends; the image's entrypoint goes on sleeping.
func bootstrapCommon(arguments []string) error {
	timer, f := startup.NewStartUpTimer(common.CoreCommonConfigServiceKey), flags.New()
	f.Parse(arguments)
	if f.ConfigProviderUrl() == "" {
		return fmt.Errorf("no configuration provider: -cp is missing")
	}
	lc := logger.NewClient(common.CoreCommonConfigServiceKey, "INFO")
	raw, err := os.ReadFile("res/configuration.yaml")
	if err != nil {
		return err
	}
	all := map[string]any{}
	if err := yaml.Unmarshal(raw, &all); err != nil {
		return err
	}
	n, err := environment.NewVariables(lc).OverrideConfigMapValues(all)
	if err != nil {
		return err
	}
	lc.Infof("common configuration with %d overrides", n)
	for section, values := range all {
		client, err := provider(f.ConfigProviderUrl(), common.CoreCommonConfigServiceKey+"/"+section)
		if err != nil {
			return err
		}
		if err := alive(client, timer); err != nil {
			return err
		}
		if err := client.PutConfigurationMap(values.(map[string]any), f.OverwriteConfig()); err != nil {
			return err
		}
	}
	client, err := provider(f.ConfigProviderUrl(), common.CoreCommonConfigServiceKey)
	if err != nil {
		return err
	}
	return client.PutConfigurationValue(config.CommonConfigDone, []byte(common.ValueTrue))
}

// open adds nothing to requests: the keeper asks for no token.
type open struct{}

func (open) AddAuthenticationData(*http.Request) error { return nil }
func (open) RoundTripper() http.RoundTripper           { return http.DefaultTransport }

func provider(address, key string) (configuration.Client, error) {
	c := types.ServiceConfig{BasePath: common.ConfigStemCore + "/" + key, AuthInjector: open{}}
	if err := c.PopulateFromUrl(address); err != nil {
		return nil, err
	}
	return configuration.NewConfigurationClient(c)
}

func alive(client configuration.Client, timer startup.Timer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for timer.HasNotElapsed() && ctx.Err() == nil {
		if client.IsAlive() {
			return nil
		}
		timer.SleepForInterval()
	}
	return fmt.Errorf("configuration provider is not available")
}
