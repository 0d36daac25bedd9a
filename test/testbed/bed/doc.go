// Package bed gives tests Kubernetes: a real API server to any test in seconds
// and without root, and real clusters to a test binary that runs inside their
// network.
//
// # An API server
//
//	func TestChartIsAccepted(t *testing.T) {
//		kubeconfig := bed.APIServer(t)
//		...
//
// is etcd, kube-apiserver, kube-controller-manager and kube-scheduler in one
// process on loopback, ended with the test. It validates, defaults and stores as
// any Kubernetes does; it has no node, so that pods stay Pending. Its binary has
// to have been built: "go run ./test/testbed build kubernetes".
//
// # Clusters
//
//	func TestMain(m *testing.M) { os.Exit(bed.Main(m, "edge", "cloud")) }
//
//	func TestPods(t *testing.T) {
//		b := bed.Open(t)
//		config := b.Kubeconfig("edge")
//		...
//
// Main starts a bed, runs the whole test binary once more inside the bed's
// network (as "testbed run" does) and ends the bed; where OSMOSLICE_TESTBED_DIR
// names a bed that runs, it uses and leaves that. A Bed can load images, cut and
// slow down clusters, and run kubectl.
//
// # Skips
//
// Where something is missing (root, a Debian package, a build) or under -short,
// tests are skipped and say why. Under CI=true what is missing fails them.
package bed
