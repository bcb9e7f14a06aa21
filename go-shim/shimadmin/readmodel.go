package shimadmin

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	shim "hotpath.dev/go-shim"
)

// Errors of ReadModels.Switch that have an HTTP status of their own. Others are 500.
var (
	// ErrNoSuchModel is 400.
	ErrNoSuchModel = errors.New("there is no such read model")
	// ErrSwitching is 409: another switch is under way.
	ErrSwitching = errors.New("another switch is under way")
	// ErrNotNow is 409: the service cannot switch at present.
	ErrNotNow = errors.New("cannot switch now")
	// ErrAlone is 409: Go might have to answer all that the sidecar does, which it could not. The order may say force.
	ErrAlone = errors.New("the service could not stand in for the sidecar with this read model")
)

// ReadModels is a service that can change, while it serves, what its own handlers of hot methods answer from.
type ReadModels interface {
	// Names are the models there are.
	Names() []string
	// InForce is the one that answers.
	InForce() string
	// NeedsSidecar says whether Go is too slow with this model to answer all requests.
	NeedsSidecar(name string) bool
	// Switch begins to switch to a model, and returns; Progress tells the rest. Asking for the model in force gives up a switch
	// that is under way. who is to be logged. allowed is to be asked right before the model changes, and an error of it is to
	// leave the model as it is.
	Switch(name, who string, allowed func() error) error
	Progress() Progress
}

// Progress is about the switch that is under way, or about the last one.
type Progress struct {
	Switching bool
	// To is the model that was asked for, and By whoever did; both are empty before the first switch.
	To, By string
	// Done of Total is in whatever unit the service counts.
	Done, Total uint64
	// Err is why the switch has failed, or nil.
	Err error
}

// ReadModel is what GET and POST /hotpath/read-model answer.
type ReadModel struct {
	Models  []string `json:"models"`
	InForce string   `json:"in_force"`
	// Switching is true while the service is on the way to the model To, which By has asked for. Afterwards they tell of the
	// last switch, and Error says why it has failed, if it has.
	Switching bool   `json:"switching"`
	To        string `json:"to"`
	By        string `json:"by"`
	Done      uint64 `json:"done"`
	Total     uint64 `json:"total"`
	Error     string `json:"error,omitempty"`
}

// switchOrder is the body of POST /hotpath/read-model.
type switchOrder struct {
	Model string `json:"model"`
	Force bool   `json:"force"`
}

func (h *handler) readModel(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, h.readModelNow())
}

func (h *handler) readModelNow() ReadModel {
	models := h.cfg.ReadModels
	// What is in force is asked last: a switch that has ended is then seen there.
	p := models.Progress()
	now := ReadModel{Models: models.Names(), InForce: models.InForce(), Switching: p.Switching, To: p.To, By: p.By, Done: p.Done, Total: p.Total}
	if p.Err != nil {
		now.Error = p.Err.Error()
	}
	return now
}

func (h *handler) switchModel(w http.ResponseWriter, r *http.Request) {
	var o switchOrder
	who, ok := orderOf(w, r, &o, "the string model, and perhaps the boolean force")
	if !ok {
		return
	}
	err := h.begin(o, who)
	h.cfg.Logger.Info("another read model was asked for", "model", o.Model, "force", o.Force, "by", who, "from", r.RemoteAddr, "error", err)
	switch {
	case err == nil:
		h.readModel(w, r)
	case errors.Is(err, ErrNoSuchModel):
		refuse(w, http.StatusBadRequest, err)
	case errors.Is(err, ErrSwitching), errors.Is(err, ErrNotNow), errors.Is(err, ErrAlone):
		now := h.readModelNow()
		now.Error = err.Error()
		write(w, http.StatusConflict, now)
	default:
		refuse(w, http.StatusInternalServerError, err)
	}
}

func (h *handler) begin(o switchOrder, who string) error {
	models := h.cfg.ReadModels
	if !slices.Contains(models.Names(), o.Model) {
		return fmt.Errorf("%q: %w: choose from %s", o.Model, ErrNoSuchModel, strings.Join(models.Names(), ", "))
	}
	allowed := func() error { return nil }
	if models.NeedsSidecar(o.Model) && !o.Force && models.InForce() != o.Model {
		allowed = func() error { return carried(h.side.Status()) }
		if err := allowed(); err != nil {
			return err
		}
	}
	return models.Switch(o.Model, who, allowed)
}

// carried returns an error unless the sidecar answers all requests of hot methods.
func carried(s shim.Status) error {
	var why []string
	if s.Killed {
		why = append(why, "the kill file is there")
	}
	if !s.Ready {
		why = append(why, "no sidecar is ready")
	}
	if len(s.OpenBreakers) > 0 {
		why = append(why, "breakers are open: "+strings.Join(s.OpenBreakers, ", "))
	}
	var partly, demoted []string
	for name, mode := range s.Modes {
		switch {
		case s.Compared[name].Demoted:
			demoted = append(demoted, name)
		case mode.Percent() < 100 && !s.Killed:
			partly = append(partly, fmt.Sprintf("%s (%s)", name, mode))
		}
	}
	for _, list := range []struct {
		what  string
		names []string
	}{{"demoted: ", demoted}, {"not forwarded at 100%: ", partly}} {
		if len(list.names) > 0 {
			slices.Sort(list.names)
			why = append(why, list.what+strings.Join(list.names, ", "))
		}
	}
	if len(why) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrAlone, strings.Join(why, "; "))
}
