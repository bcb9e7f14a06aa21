package shim_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module           = "hotpath.dev/go-shim"
	maxFileLines     = 500
	maxFunctionLines = 70
	generatedCode    = "internal/gen/hotpath/v1"
)

// layers says which packages of this module each package may use outside its tests. The root puts the others together. None of
// them may use the root, which is "", but shimadmin, which is a user of it. Nothing here can use examples/, which is a module
// of its own, because the shim does not know the messages that it carries.
var layers = map[string][]string{
	".": {"codec", "internal/backoff", "internal/breaker", "internal/budget", "internal/evidence", "internal/experiment", "internal/feed", "internal/link", "internal/modes",
		"internal/quiet", "internal/ratelog", "internal/rundir", "internal/schema", "internal/shadow", "internal/splice",
		"internal/standby", "internal/supervise", "internal/telemetry", "internal/transport",
		"internal/transport/lane", "internal/transport/unary", "internal/workers", "metrics", "position", "tracing"},
	"cmd/hotpathctl":           {"internal/evidence", "internal/modes", "internal/rollout"},
	"codec":                    {},
	"internal/attack":          {},
	"frontdoor":                {"codec", "internal/ratelog", "metrics"},
	"internal/backoff":         {},
	"internal/breaker":         {"internal/backoff"},
	"internal/budget":          {},
	"internal/evidence":        {"internal/shadow"},
	"internal/experiment":      {},
	"internal/feed":            {generatedCode, "position"},
	"internal/h2":              {},
	"internal/link":            {"codec", generatedCode, "internal/backoff", "internal/feed", "internal/quiet", "internal/ratelog", "internal/transport", "internal/wire"},
	"internal/modes":           {},
	"internal/quiet":           {},
	"internal/ratelog":         {},
	"internal/rollout":         {},
	"internal/rundir":          {},
	"internal/schema":          {},
	"internal/shadow":          {},
	"internal/splice":          {"internal/h2", "internal/quiet"},
	"internal/standby":         {},
	"internal/supervise":       {"internal/backoff"},
	"internal/telemetry":       {"metrics"},
	"internal/transport":       {"internal/wire"},
	"internal/transport/lane":  {generatedCode, "internal/backoff", "internal/ratelog", "internal/transport", "internal/wire"},
	"internal/transport/unary": {"codec", "internal/transport", "position"},
	"internal/wire":            {"internal/h2", "internal/quiet"},
	"internal/workers":         {},
	"metrics":                  {},
	"position":                 {},
	"shimadmin":                {""},
	"shimotel":                 {"tracing"},
	"shimprom":                 {"metrics"},
	"shimtest":                 {"codec", generatedCode, "internal/evidence", "position"},
	"tracing":                  {},
}

// source is one Go file that is not generated.
type source struct {
	path    string // slash-separated, from this directory
	content []byte
	set     *token.FileSet
	syntax  *ast.File
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, ".pb.go") {
			return err
		}
		s := source{path: filepath.ToSlash(file), set: token.NewFileSet()}
		if s.content, err = os.ReadFile(file); err != nil {
			return err
		}
		s.syntax, err = parser.ParseFile(s.set, file, s.content, parser.ParseComments|parser.SkipObjectResolution)
		all = append(all, s)
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("%d files: %v", len(all), err)
	}
	return all
}

func TestPackagesUseOnlyThoseBeneathThem(t *testing.T) {
	for _, s := range sources(t) {
		if strings.HasPrefix(s.path, "examples/") || strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		may, known := layers[path.Dir(s.path)]
		if !known {
			t.Errorf("%s: give its package a row in layers", s.path)
		}
		for _, spec := range s.syntax.Imports {
			used := strings.Trim(spec.Path.Value, `"`)
			if strings.HasPrefix(used, "github.com/prometheus/") && path.Dir(s.path) != "shimprom" {
				t.Errorf("%s: must not import %s: only shimprom knows Prometheus", s.path, used)
			}
			if used != module && !strings.HasPrefix(used, module+"/") {
				continue
			}
			if inner := strings.TrimPrefix(strings.TrimPrefix(used, module), "/"); !slices.Contains(may, inner) {
				t.Errorf("%s: must not import %s", s.path, used)
			}
		}
	}
}

// The examples use the shim as any adopter does, except that they compare the ways to the sidecar. Go would let them
// use all of internal/, because the path of their module begins with its parent's.
func TestExamplesUseOnlyWhatIsPublic(t *testing.T) {
	for _, s := range sources(t) {
		if !strings.HasPrefix(s.path, "examples/") || strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		for _, spec := range s.syntax.Imports {
			used := strings.Trim(spec.Path.Value, `"`)
			if strings.HasPrefix(used, module+"/internal/") && used != module+"/internal/experiment" {
				t.Errorf("%s: must not import %s", s.path, used)
			}
		}
	}
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if n := bytes.Count(s.content, []byte("\n")); n > maxFileLines {
			t.Errorf("%s: %d lines, at most %d", s.path, n, maxFileLines)
		}
		ast.Inspect(s.syntax, func(node ast.Node) bool {
			function, ok := node.(*ast.FuncDecl)
			if !ok {
				return true
			}
			n := s.set.Position(function.End()).Line - s.set.Position(function.Pos()).Line + 1
			if n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, at most %d", s.path, function.Name.Name, n, maxFunctionLines)
			}
			return true
		})
	}
}

func TestNothingIsLeftForLater(t *testing.T) {
	marks := []string{"TO" + "DO", "FIX" + "ME", "X" + "XX", "for n" + "ow", "t.Sk" + "ip(", "t.Sk" + "ipf(", "t.Sk" + "ipN"}
	for _, s := range sources(t) {
		for _, mark := range marks {
			if bytes.Contains(s.content, []byte(mark)) {
				t.Errorf("%s: has %q", s.path, mark)
			}
		}
	}
}

// isEmbedded says whether the variable is a file that the compiler reads, which only a package-level variable can be.
func isEmbedded(decl *ast.GenDecl) bool {
	return decl.Doc != nil && strings.HasPrefix(decl.Doc.List[len(decl.Doc.List)-1].Text, "//go:embed ")
}

// Package-level state would be shared by shims that know nothing of each other.
func TestNoPackageLevelState(t *testing.T) {
	for _, s := range sources(t) {
		if strings.HasPrefix(s.path, "examples/") || strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		for _, decl := range s.syntax.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok || general.Tok != token.VAR || isEmbedded(general) {
				continue
			}
			for _, spec := range general.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if !strings.HasPrefix(name.Name, "Err") {
						t.Errorf("%s: variable %s: only Err* values may be package-level", s.path, name.Name)
					}
				}
			}
		}
	}
}
