package conformance

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"
	"k8s.io/component-base/logs"
	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"

	// The set-up of upstream's suite, and the specs.
	_ "k8s.io/kubernetes/test/e2e"
	_ "k8s.io/kubernetes/test/e2e/apps"

	// What upstream's suite adds to each spec: all nodes must be ready after it,
	// and a failure is explained with the state of the cluster.
	_ "k8s.io/kubernetes/test/e2e/framework/debug/init"
	_ "k8s.io/kubernetes/test/e2e/framework/node/init"
	_ "k8s.io/kubernetes/test/utils/format"
)

// focus names the specs that Garrison must pass.
var focus = []string{
	`\[sig-apps\] Daemon set `,
	`\[sig-apps\] ControllerRevision `,
}

// excluded are specs within focus that a simulated node cannot satisfy.
var excluded = []struct{ spec, why string }{
	{"should surge pods onto nodes when spec was updated", "it runs commands in its containers, and a simulated node has none"},
}

var (
	binary    = flag.String("garrison", "../../bin/garrison", "the garrison to start when -kubeconfig is not given")
	simulated = flag.Int("simulated-nodes", 3, "how many nodes the garrison simulates")
	artifacts = flag.String("artifacts", "", "an existing folder for the logs (default a new one, which is removed when all specs pass)")
)

func TestMain(m *testing.M) {
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	// Logs of pods are fetched from their nodes, where nothing listens.
	set("dump-logs-on-failure", "false")
	// Simulated nodes need a second; upstream would wait for half an hour.
	set("node-schedulable-timeout", "2m")
	flag.Parse()
	os.Exit(m.Run())
}

func set(name, value string) {
	if err := flag.Set(name, value); err != nil {
		panic(err)
	}
}

func TestConformance(t *testing.T) {
	dir := artifactsFolder(t)
	if framework.TestContext.KubeConfig == "" {
		framework.TestContext.KubeConfig = startGarrison(t, dir)
	}
	logs.InitLogs()
	defer logs.FlushLogs()
	framework.AfterReadingAllFlags(&framework.TestContext)
	gomega.RegisterFailHandler(framework.Fail)
	recordSpecs(t, filepath.Join(dir, "specs.log"))
	suite, reporter := selection()
	running = true
	ginkgo.RunSpecs(t, "Kubernetes e2e suite", suite, reporter)
}

// artifactsFolder returns where the logs go. They stay when the test fails.
func artifactsFolder(t *testing.T) string {
	if *artifacts != "" {
		return *artifacts
	}
	dir, err := os.MkdirTemp("", "garrison-conformance-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			fmt.Println("logs are in", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// selection is upstream's configuration, for our specs unless flags ask for
// others. A selection of nothing is a failure.
func selection() (types.SuiteConfig, types.ReporterConfig) {
	suite, reporter := framework.CreateGinkgoConfig()
	given, _ := ginkgo.GinkgoConfiguration()
	if len(given.FocusStrings) == 0 && given.LabelFilter == "" {
		suite.FocusStrings, suite.SkipStrings = focus, given.SkipStrings
		for _, e := range excluded {
			suite.SkipStrings = append(suite.SkipStrings, regexp.QuoteMeta(e.spec))
			fmt.Printf("not run: %q: %s\n", e.spec, e.why)
		}
	}
	suite.FailOnEmpty = true
	reporter.SilenceSkips = true
	reporter.NoColor = true
	return suite, reporter
}

// recordSpecs writes all that the specs say to a file.
func recordSpecs(t *testing.T, path string) {
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	ginkgo.GinkgoWriter.TeeTo(file)
	t.Cleanup(func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
}

// running tells a run from the preview that the framework makes of all specs.
var running bool

// One line for each spec, at the end: nodes that report after each spec are
// lost to the preview.
var _ = ginkgo.ReportAfterSuite("results", func(report types.Report) {
	if !running {
		return
	}
	var lines []string
	for _, spec := range report.SpecReports.WithLeafNodeType(types.NodeTypeIt) {
		if !spec.State.Is(types.SpecStateSkipped | types.SpecStatePending) {
			lines = append(lines, fmt.Sprintf("%-8s %6.1fs  %s\n", strings.ToUpper(spec.State.String()), spec.RunTime.Seconds(), spec.FullText()))
		}
	}
	slices.Sort(lines)
	fmt.Print("\n\n", strings.Join(lines, ""))
})
