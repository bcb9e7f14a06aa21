package golden

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	walletv1 "hotpath.dev/go-shim/examples/wallet/gen/wallet/v1"
	"hotpath.dev/go-shim/examples/wallet/internal/modeltest"
	"hotpath.dev/go-shim/examples/wallet/ledger"
	"hotpath.dev/go-shim/examples/wallet/oracle"
	"hotpath.dev/go-shim/examples/wallet/readmodel"
	"hotpath.dev/go-shim/examples/wallet/service"
	"hotpath.dev/go-shim/position"
)

const folder = "../../../../proto/golden"

var update = flag.Bool("update", false, "write proto/golden from the service's answers")

// document is one golden file. JSON encodes []byte as base64.
type document struct {
	Description string     `json:"description"`
	Events      [][]byte   `json:"events"`
	Cases       []goldCase `json:"cases"`
}

type goldCase struct {
	Name     string `json:"name"`
	Method   string `json:"method"`
	Position uint64 `json:"position"`
	Request  []byte `json:"request"`
	Code     string `json:"code"`
	Message  string `json:"message"`
	Response []byte `json:"response"`
}

// codeNames returns the canonical names of the codes that a read can give.
func codeNames() map[codes.Code]string {
	return map[codes.Code]string{
		codes.OK: "OK", codes.InvalidArgument: "INVALID_ARGUMENT", codes.NotFound: "NOT_FOUND", codes.OutOfRange: "OUT_OF_RANGE",
	}
}

func TestGolden(t *testing.T) {
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			path := filepath.Join(folder, "wallet-"+s.name+".json")
			if *update {
				write(t, path, s.document(t, readmodel.NameLegacy))
			}
			stored := read(t, path)
			for _, model := range readmodel.AllNames() {
				if made := s.document(t, model); !bytes.Equal(encode(t, made), encode(t, stored)) {
					t.Errorf("%s is not what the service answers now with read model %s; if that is meant: "+
						"go test ./wallet/golden -update", path, model)
				}
			}
			checkOracle(t, stored)
		})
	}
}

func TestGoldenCoversEveryReadAndStatus(t *testing.T) {
	seen := map[string]int{}
	total := 0
	for _, s := range scenarios() {
		names := map[string]bool{}
		for _, c := range read(t, filepath.Join(folder, "wallet-"+s.name+".json")).Cases {
			seen[c.Method+" "+c.Code]++
			total++
			if names[c.Name] {
				t.Errorf("%s: two cases are called %q", s.name, c.Name)
			}
			names[c.Name] = true
		}
	}
	for _, method := range oracle.Methods() {
		for code, name := range codeNames() {
			if code == codes.NotFound && method == "/wallet.v1.WalletService/BatchGetBalances" {
				continue // it marks rows instead
			}
			if seen[method+" "+name] == 0 {
				t.Errorf("no case of %s gives %s", method, name)
			}
		}
	}
	if total < 120 {
		t.Errorf("%d cases are too few", total)
	}
}

// document books the scenario and returns it with the service's answers.
func (s *scenario) document(t *testing.T, readModel string) document {
	t.Helper()
	model, book := modeltest.New(t, readModel)
	d := document{Description: s.description}
	for i, tx := range s.events {
		tx.Position = uint64(i + 1)
		if err := ledger.Validate(tx); err != nil {
			t.Fatalf("event %d: %v", i+1, err)
		}
		book(tx)
		d.Events = append(d.Events, ledger.AppendEvent(nil, tx.GetPosition(), ledger.AppendBody(nil, tx)))
	}
	wallet := service.New(nil, model)
	for _, c := range s.cases {
		d.Cases = append(d.Cases, answer(t, wallet, c))
	}
	return d
}

func answer(t *testing.T, wallet *service.Service, c goldCase) goldCase {
	t.Helper()
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(position.AtKey, strconv.FormatUint(c.Position, 10)))
	ctx = grpc.NewContextWithServerTransportStream(ctx, noStream{})
	for _, method := range walletv1.WalletService_ServiceDesc.Methods {
		if c.Method != "/wallet.v1.WalletService/"+method.MethodName {
			continue
		}
		decode := func(into any) error { return proto.Unmarshal(c.Request, into.(proto.Message)) }
		resp, err := method.Handler(wallet, ctx, decode, nil)
		code := status.Code(err)
		name, known := codeNames()[code]
		if !known {
			t.Fatalf("%s: %v", c.Name, err)
		}
		c.Code, c.Message, c.Response = name, status.Convert(err).Message(), []byte{}
		if code == codes.OK {
			c.Message = ""
			if c.Response, err = proto.Marshal(resp.(proto.Message)); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	t.Fatalf("%s: no method %s", c.Name, c.Method)
	return c
}

// checkOracle compares the file with the oracle's answers. It uses nothing but the file, as another implementation
// would.
func checkOracle(t *testing.T, d document) {
	t.Helper()
	var truth oracle.Oracle
	for i, event := range d.Events {
		tx, err := ledger.DecodeEvent(event)
		if err != nil || tx.GetPosition() != uint64(i+1) {
			t.Fatalf("event %d: position %d, %v", i+1, tx.GetPosition(), err)
		}
		truth.Add(tx)
	}
	for _, c := range d.Cases {
		got := truth.Ask(c.Position, c.Method, c.Request)
		if codeNames()[got.Code] != c.Code || got.Message != c.Message || !bytes.Equal(got.Response, c.Response) {
			t.Errorf("%s: the oracle says %v %q %x\nthe file says %s %q %x", c.Name, got.Code, got.Message, got.Response,
				c.Code, c.Message, c.Response)
		}
	}
}

func encode(t *testing.T, d document) []byte {
	t.Helper()
	text, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func write(t *testing.T, path string, d document) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, encode(t, d), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) (d document) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return d
}

// noStream drops all headers and trailers.
type noStream struct{}

func (noStream) Method() string               { return "" }
func (noStream) SetHeader(metadata.MD) error  { return nil }
func (noStream) SendHeader(metadata.MD) error { return nil }
func (noStream) SetTrailer(metadata.MD) error { return nil }
