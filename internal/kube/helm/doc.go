// Package helm is the only place that knows the Helm SDK.
package helm

import (
	_ "helm.sh/helm/v3/pkg/action"
)
