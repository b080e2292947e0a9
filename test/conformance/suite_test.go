package conformance

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/ginkgo/v2/types"
	"github.com/onsi/gomega"
	"k8s.io/component-base/logs"
	"k8s.io/kubernetes/test/e2e/framework"
	"k8s.io/kubernetes/test/e2e/framework/config"
	"k8s.io/kubernetes/test/e2e/framework/testfiles"
	testfixtures "k8s.io/kubernetes/test/fixtures"

	// The set-up of upstream's suite, and the specs.
	_ "k8s.io/kubernetes/test/e2e"
	_ "k8s.io/kubernetes/test/e2e/apps"
	_ "k8s.io/kubernetes/test/e2e/node"
	_ "k8s.io/kubernetes/test/e2e/scheduling"

	// What upstream's suite adds to each spec: all nodes must be ready after it,
	// and a failure is explained with the state of the cluster.
	_ "k8s.io/kubernetes/test/e2e/framework/debug/init"
	_ "k8s.io/kubernetes/test/e2e/framework/node/init"
	_ "k8s.io/kubernetes/test/utils/format"
)

var (
	binary     = flag.String("garrison", "../../bin/garrison", "the garrison to start when -kubeconfig is not given")
	imageMaker = flag.String("images", "../../bin/images", "the program of test/images, which makes the images of the shards with real containers")
	agnhost    = flag.String("agnhost", "../../bin/agnhost", "upstream's test program, for these images")
	nonewprivs = flag.String("nonewprivs", "../../bin/nonewprivs", "upstream's test program that tells who it runs as, for these images")
	shell      = flag.String("shell", "../../bin/shell", "the shell of this folder, for these images")
	simulated  = flag.Int("simulated-nodes", 3, "how many nodes the garrison simulates")
	only       = flag.String("shard", "", "run the specs of this shard only (default all shards, each in a process and against a garrison of its own)")
	part       = flag.Int("part", -1, "with -shard and -kubeconfig: run this part of its specs only (default all)")
	addresses  = flag.Int("addresses", 210, "pods get addresses of 10.ADDRESSES.0.0/16 and of the ranges after it, one for each shard")
	realNode   = flag.Bool("real-node", false, "with -ginkgo.focus: run on this machine as a node, not on simulated ones")
	artifacts  = flag.String("artifacts", "", "an existing folder for the logs (default a new one, which is removed when all specs pass)")
)

func TestMain(m *testing.M) {
	config.CopyFlags(config.Flags, flag.CommandLine)
	framework.RegisterCommonFlags(flag.CommandLine)
	framework.RegisterClusterFlags(flag.CommandLine)
	// Logs of pods are fetched from their nodes, where nothing listens.
	set("dump-logs-on-failure", "false")
	// Simulated nodes need a second; upstream would wait for half an hour.
	set("node-schedulable-timeout", "2m")
	// Not the cluster that $KUBECONFIG names: the specs change nodes at will.
	set("kubeconfig", "")
	// Specs run the kubectl that is part of the garrison.
	set("kubectl-path", absolute("testdata/kubectl"))
	flag.Parse()
	if err := os.Setenv("GARRISON", absolute(*binary)); err != nil {
		panic(err)
	}
	testfiles.AddFileSource(testfixtures.GetTestFixturesFS())
	code := m.Run()
	passed, failed := summary(results)
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	os.Exit(code)
}

func set(name, value string) {
	if err := flag.Set(name, value); err != nil {
		panic(err)
	}
}

func absolute(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		panic(err)
	}
	return path
}

func TestConformance(t *testing.T) {
	dir := artifactsFolder(t)
	if *only != "" || chosen() || framework.TestContext.KubeConfig != "" {
		runSpecs(t, dir)
	} else {
		fmt.Printf("%d shards run at once, with logs in %s\n", len(shards), dir)
		divide(allSpecs(), shards, leftOut).print()
		runProcesses(t, dir, shardProcesses())
	}
	if passed, failed := summary(results); passed == 0 || failed > 0 {
		t.Fail()
	}
}

// runSpecs runs the selected specs against one cluster, which it starts unless
// there is one.
func runSpecs(t *testing.T, dir string) {
	selected := selectedShard(t)
	started := framework.TestContext.KubeConfig == ""
	switch {
	case !started:
	case selected.real || *realNode:
		framework.TestContext.KubeConfig = startRealNode(t, dir)
	default:
		framework.TestContext.KubeConfig = startSimulation(t, dir)
		runNodeDaemons(t, framework.TestContext.KubeConfig)
	}
	if started && selected.parts > 1 {
		runProcesses(t, dir, partProcesses(selected, framework.TestContext.KubeConfig))
	} else {
		runGinkgo(t, dir, selected)
	}
	lines := strings.Join(results, "")
	fmt.Print("\n\n", lines)
	if err := os.WriteFile(filepath.Join(dir, "results"), []byte(lines), 0o644); err != nil {
		t.Error(err)
	}
}

// selectedShard is the shard that the flags name, or all specs of all shards.
func selectedShard(t *testing.T) shard {
	for _, s := range shards {
		if s.name == *only {
			return s
		}
	}
	if *only != "" {
		t.Fatalf("there is no shard %q", *only)
	}
	return shard{}
}

// runGinkgo runs specs one after the other.
func runGinkgo(t *testing.T, dir string, of shard) {
	logs.InitLogs()
	defer logs.FlushLogs()
	framework.AfterReadingAllFlags(&framework.TestContext)
	gomega.RegisterFailHandler(framework.Fail)
	recordSpecs(t, filepath.Join(dir, "specs.log"))
	suite, reporter := selection(of)
	ginkgo.RunSpecs(t, suiteName, suite, reporter)
}

const suiteName = "Kubernetes e2e suite"

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

// chosen tells whether flags ask for other specs than ours.
func chosen() bool {
	given, _ := ginkgo.GinkgoConfiguration()
	return len(given.FocusStrings) > 0 || given.LabelFilter != ""
}

// selection is upstream's configuration, for our specs unless flags ask for
// others. A selection of nothing is a failure.
func selection(of shard) (types.SuiteConfig, types.ReporterConfig) {
	suite, reporter := framework.CreateGinkgoConfig()
	if !chosen() {
		given, _ := ginkgo.GinkgoConfiguration()
		suite.FocusStrings, suite.SkipStrings = []string{exactly(specsOf(of))}, given.SkipStrings
	}
	suite.FailOnEmpty = true
	reporter.SilenceSkips = true
	reporter.NoColor = true
	return suite, reporter
}

// specsOf are the specs of a shard, or of its part that the flags name; those of
// all shards when it has no name.
func specsOf(of shard) []spec {
	runs := divide(allSpecs(), shards, leftOut).runs
	switch {
	case of.name == "":
		return slices.Concat(slices.Collect(maps.Values(runs))...)
	case *part >= 0:
		return deal(runs[of.name], of.parts)[*part]
	default:
		return runs[of.name]
	}
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

// results has one line for each spec that ran.
var results []string

// One report at the end: nodes that report after each spec are lost to the
// preview that the framework makes of all specs, a dry run.
var _ = ginkgo.ReportAfterSuite("results", func(report types.Report) {
	if report.SuiteConfig.DryRun {
		return
	}
	for _, spec := range report.SpecReports.WithLeafNodeType(types.NodeTypeIt) {
		// Specs that were not selected are skipped too, but say no reason.
		if spec.State.Is(types.SpecStatePending) || spec.State.Is(types.SpecStateSkipped) && spec.Failure.Message == "" {
			continue
		}
		results = append(results, fmt.Sprintf("%-8s %6.1fs  %s\n", strings.ToUpper(spec.State.String()), spec.RunTime.Seconds(), spec.FullText()))
	}
	slices.Sort(results)
})
