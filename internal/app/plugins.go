package app

import (
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/osmoslice/osmoslice/charts"
	"github.com/osmoslice/osmoslice/domains/host"
	"github.com/osmoslice/osmoslice/domains/kubernetes"
	"github.com/osmoslice/osmoslice/domains/simulated"
	"github.com/osmoslice/osmoslice/internal/config"
	"github.com/osmoslice/osmoslice/internal/domain"
	"github.com/osmoslice/osmoslice/internal/fulfilment"
	"github.com/osmoslice/osmoslice/internal/imageindex"
	"github.com/osmoslice/osmoslice/internal/platform/edgex"
	"github.com/osmoslice/osmoslice/internal/platform/lite"
	"github.com/osmoslice/osmoslice/internal/platform/mainflux"
	"github.com/osmoslice/osmoslice/internal/platform/supermq"
	"github.com/osmoslice/osmoslice/internal/supervise"
)

// ShimMain runs the supervisor's shim when the arguments (os.Args) ask for one
// and reports whether they did; main calls it first.
func ShimMain(args []string) (handled bool) { return supervise.ShimMain(args) }

// plugins is every domain plugin and product platform there is.
type plugins struct {
	domains   map[string]domain.Plugin
	platforms map[string]fulfilment.Platform
	simulated *simulated.Driver // nil when off
}

func newPlugins(c config.Config, log *slog.Logger) (plugins, error) {
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		Proxy: nil, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: 20 * time.Second,
	}}
	p := plugins{domains: map[string]domain.Plugin{}, platforms: map[string]fulfilment.Platform{
		"lite":     {Gateway: lite.NewGateway(client), Server: lite.NewServer(client)},
		"edgex":    {Gateway: edgex.NewGateway(client)},
		"mainflux": {Server: mainflux.NewServer(client)},
		"supermq":  {Server: supermq.NewServer(client)},
	}}
	if c.Host.Enabled {
		p.domains["host"] = host.Plugin(host.Options{
			Dir: c.Host.Dir, ArtefactDir: c.Host.ArtefactDir, ArtefactDirs: c.Host.ArtefactDirs, Logger: log.With("plugin", "host"),
		})
	}
	if c.Kubernetes.Enabled {
		p.domains[kubernetes.Name] = kubernetes.Plugin(kubernetesOptions(c.Kubernetes, log.With("plugin", kubernetes.Name)))
	}
	if c.Simulated.Enabled {
		dir := c.Simulated.Dir
		if dir == "-" {
			dir = ""
		}
		d, err := simulated.New(simulated.Options{Dir: dir})
		if err != nil {
			return p, err
		}
		p.simulated = d
		p.domains[simulated.Name] = d.Plugin()
		p.platforms[simulated.Name] = fulfilment.Platform{Gateway: d.Platform(), Server: d.Platform()}
	}
	return p, nil
}

func kubernetesOptions(c config.Kubernetes, log *slog.Logger) kubernetes.Options {
	o := kubernetes.Options{Charts: []fs.FS{charts.Files()}, Exec: c.ExecPlugins, Insecure: c.Insecure, InCluster: c.InCluster, Logger: log,
		Images: imageindex.New(imageindex.Options{Dir: c.ImageDir}), AskRegistries: c.Registries}
	if c.ChartDir != "" {
		o.Charts = append(o.Charts, os.DirFS(c.ChartDir))
	}
	return o
}
