package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/garrison-project/garrison/internal/cluster"
)

// run executes one command line in this process.
func run(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = Main(args, Streams{In: strings.NewReader(""), Out: &out, Err: &err})
	return code, out.String(), err.String()
}

func TestWrongCommandLineExitsWithTwo(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string // on standard error
	}{
		{[]string{"sentry"}, `error: unknown command "sentry" for "garrison"`},
		{[]string{"version", "--loud"}, "error: unknown flag: --loud\nSee 'garrison version --help' for usage."},
		{[]string{"version", "now"}, `error: unknown command "now" for "garrison version"`},
		{[]string{"version", "-o", "xml"}, `error: --output must be json or yaml, not "xml"`},
		{[]string{"kubectl", "--data-dir"}, "error: flag needs an argument: --data-dir"},
	} {
		code, stdout, stderr := run(tc.args...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, tc.want) {
			t.Errorf("garrison %s: code %d, stdout %q, stderr %q; want code %d and %q",
				strings.Join(tc.args, " "), code, stdout, stderr, exitUsage, tc.want)
		}
	}
}

func TestHelp(t *testing.T) {
	code, bare, stderr := run()
	if code != exitOK || stderr != "" {
		t.Fatalf("garrison: code %d, stderr %q", code, stderr)
	}
	for _, want := range []string{"Examples:", "Exit codes:", "kubectl", "completion", "--data-dir"} {
		if !strings.Contains(bare, want) {
			t.Errorf("help does not mention %q", want)
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if code, stdout, _ := run("completion", shell); code != exitOK || !strings.Contains(stdout, "garrison") {
			t.Errorf("completion %s: code %d, %d bytes", shell, code, len(stdout))
		}
	}
}

func TestCompletionReachesIntoKubectl(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	code, stdout, _ := run("__complete", "kubectl", "--data-dir", t.TempDir(), "rollout", "st")
	if code != exitOK || !strings.HasPrefix(stdout, "status\t") || !strings.Contains(stdout, "\n:4\n") {
		t.Errorf("code %d, stdout %q", code, stdout)
	}
}

func TestVersionFormats(t *testing.T) {
	want := buildVersion()
	for format, decode := range map[string]func([]byte, any) error{
		"json": json.Unmarshal,
		"yaml": func(b []byte, v any) error { return yaml.UnmarshalStrict(b, v) },
	} {
		code, stdout, _ := run("version", "-o", format)
		var got versionInfo
		if err := decode([]byte(stdout), &got); code != exitOK || err != nil || got != want {
			t.Errorf("version -o %s: code %d, error %v, got %+v, want %+v", format, code, err, got, want)
		}
	}
	if _, stdout, _ := run("version"); !strings.HasPrefix(stdout, "Garrison "+want.Garrison+"\n") {
		t.Errorf("version: %q", stdout)
	}
}

func TestTakeDataDir(t *testing.T) {
	for _, tc := range []struct {
		args, rest []string
		dir        string
	}{
		{nil, nil, "unset"},
		{[]string{"get", "nodes"}, []string{"get", "nodes"}, "unset"},
		{[]string{"--data-dir", "/d", "get"}, []string{"get"}, "/d"},
		{[]string{"--data-dir=/d", "get"}, []string{"get"}, "/d"},
		{[]string{"get", "--data-dir=/d"}, []string{"get", "--data-dir=/d"}, "unset"},
	} {
		in := &invocation{dataDir: "unset"}
		rest, err := in.takeDataDir(tc.args)
		if err != nil || in.dataDir != tc.dir || !slices.Equal(rest, tc.rest) {
			t.Errorf("takeDataDir(%q) = %q, %v, data dir %q; want %q, data dir %q", tc.args, rest, err, in.dataDir, tc.rest, tc.dir)
		}
	}
}

func TestDefaultDataDir(t *testing.T) {
	t.Setenv(dataDirVariable, "/from/env")
	if got := defaultDataDir(); got != "/from/env" {
		t.Errorf("with $%s set: %q", dataDirVariable, got)
	}
	t.Setenv(dataDirVariable, "")
	t.Setenv("XDG_DATA_HOME", "/xdg")
	want := "/xdg/garrison"
	if os.Geteuid() == 0 {
		want = "/var/lib/garrison"
	}
	if got := defaultDataDir(); got != want {
		t.Errorf("without it: %q, want %q", got, want)
	}
}

func TestDefaultKubeconfig(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, adminKubeconfig)
	t.Setenv("KUBERNETES_SERVICE_HOST", "")

	t.Setenv("KUBECONFIG", "/chosen")
	if hint := defaultKubeconfig(dir); hint != "" || os.Getenv("KUBECONFIG") != "/chosen" {
		t.Errorf("a chosen kubeconfig: hint %q, KUBECONFIG %q", hint, os.Getenv("KUBECONFIG"))
	}

	t.Setenv("KUBECONFIG", "")
	if hint := defaultKubeconfig(dir); !strings.Contains(hint, path+" does not exist") || os.Getenv("KUBECONFIG") != path {
		t.Errorf("no cluster: hint %q, KUBECONFIG %q", hint, os.Getenv("KUBECONFIG"))
	}

	t.Setenv("KUBECONFIG", "")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if hint := defaultKubeconfig(dir); hint != "" || os.Getenv("KUBECONFIG") != path {
		t.Errorf("a cluster: hint %q, KUBECONFIG %q", hint, os.Getenv("KUBECONFIG"))
	}

	t.Setenv("KUBECONFIG", "")
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	if hint := defaultKubeconfig(dir); hint != "" || os.Getenv("KUBECONFIG") != "" {
		t.Errorf("in a pod: hint %q, KUBECONFIG %q", hint, os.Getenv("KUBECONFIG"))
	}
}

func TestPrintFatal(t *testing.T) {
	for _, tc := range []struct{ message, hint, want string }{
		{"boom\n", "look there", "boom\n"},
		{"no " + noServer, "look there", "no " + noServer + "\nhint: look there\n"},
		{"", "look there", ""},
	} {
		var out bytes.Buffer
		if printFatal(&out, tc.message, tc.hint); out.String() != tc.want {
			t.Errorf("printFatal(%q, %q) = %q, want %q", tc.message, tc.hint, out.String(), tc.want)
		}
	}
}

func TestUpChecksItsFlags(t *testing.T) {
	for flag, want := range map[string]string{
		"--port=70000":                    "--port must be between 0 and 65535, not 70000",
		"--port=-1":                       "--port must be between 0 and 65535, not -1",
		"--bind-address=everywhere":       `--bind-address must be an IP address, not "everywhere"`,
		"--simulate-nodes=-1":             "--simulate-nodes must not be negative",
		"--simulate-nodes=100001":         "--simulate-nodes must be at most 100000",
		"--node-monitor-grace-period=-1s": "--node-monitor-grace-period must be positive",
		"--service-account-issuer=x":      `--service-account-issuer: "x" is not a URL such as https://kubernetes.default.svc`,
		"--etcd-servers=db:2379":          `--etcd-servers: "db:2379" is not a URL such as http://127.0.0.1:2379`,
		"--etcd-keyfile=key.pem":          "--etcd-certfile and --etcd-keyfile go together",
		"--etcd-cafile=ca.pem":            "--etcd-cafile, --etcd-certfile and --etcd-keyfile are for an etcd that --etcd-servers names",
		"--v=-1":                          "-v must not be negative",
		"--cluster-cidr=everywhere":       `--cluster-cidr: "everywhere" is not a range of addresses such as 10.84.0.0/16`,
		"--cluster-cidr=10.0.0.0/30":      "--cluster-cidr: 10.0.0.0/30 has no parts with a mask of 24 bits",
		"--controllers=*,-deployment":     `--controllers: "deployment" is not one of ` + strings.Join(cluster.PartNames(), ", "),
	} {
		for _, command := range []string{"up", "server"} {
			code, stdout, stderr := run(command, "--data-dir", t.TempDir(), flag)
			if code != exitUsage || stdout != "" || !strings.Contains(stderr, "error: "+want+"\n") {
				t.Errorf("garrison %s %s: code %d, stdout %q, stderr %q; want %q", command, flag, code, stdout, stderr, want)
			}
		}
	}
}

func TestUpConfig(t *testing.T) {
	flags := &upFlags{bindAddress: "::1", port: 0, etcdServers: []string{"https://db:2379"}, issuer: "https://tokens", simulateNodes: 3, grace: time.Minute, clusterCIDR: "10.9.0.0/16", noAgent: true}
	got, err := flags.config("relative")
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	want := cluster.Config{
		DataDir: filepath.Join(here, "relative"), BindAddress: "::1", EtcdServers: []string{"https://db:2379"}, ServiceAccountIssuer: "https://tokens",
		SimulateNodes: 3, NodeMonitorGracePeriod: time.Minute, ClusterCIDR: netip.MustParsePrefix("10.9.0.0/16"),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("config = %+v, want %+v", got, want)
	}
}

func TestDeparted(t *testing.T) {
	for _, tc := range []struct {
		message, err string
		want         bool
	}{
		{"Unhandled Error", "apiserver was unable to write a application/json response: http: Handler timeout", true},
		{"Unhandled Error", "FinishRequest: post-timeout activity - time-elapsed: 15.1µs, panicked: false, err: context canceled", true},
		{"Post-timeout activity", "", true},
		{"Unhandled Error", "apiserver was unable to write a application/json response: no space left", false},
		{"Failed to watch", "context canceled", false},
	} {
		var err error
		if tc.err != "" {
			err = errors.New(tc.err)
		}
		if got := departed(err, tc.message); got != tc.want {
			t.Errorf("departed(%q, %q) = %v", tc.err, tc.message, got)
		}
	}
}
