// Package kube is a thin wrapper on client-go; it decides nothing.
package kube

import (
	_ "k8s.io/apimachinery/pkg/apis/meta/v1"
	_ "k8s.io/client-go/dynamic"
	_ "k8s.io/client-go/kubernetes"
)
