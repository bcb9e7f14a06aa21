package main

import (
	"errors"
	"fmt"

	"hotpath.dev/go-shim/examples/wallet/readmodel"
	"hotpath.dev/go-shim/shimadmin"
)

// readModels offers the read models to the admin API.
type readModels struct{ *readmodel.Switcher }

var _ shimadmin.ReadModels = readModels{}

// Names implements [shimadmin.ReadModels].
func (readModels) Names() []string { return readmodel.AllNames() }

// InForce implements [shimadmin.ReadModels].
func (m readModels) InForce() string {
	name, _ := m.Switcher.InForce()
	return name
}

// NeedsSidecar implements [shimadmin.ReadModels].
func (readModels) NeedsSidecar(name string) bool { return name == readmodel.NameStore }

// Switch implements [shimadmin.ReadModels].
func (m readModels) Switch(name, who string, allowed func() error) error {
	err := m.Switcher.Switch(name, who, allowed)
	switch {
	case errors.Is(err, readmodel.ErrUnknown):
		return fmt.Errorf("%w: %w", shimadmin.ErrNoSuchModel, err)
	case errors.Is(err, readmodel.ErrUnderWay):
		return fmt.Errorf("%w: %w", shimadmin.ErrSwitching, err)
	case errors.Is(err, readmodel.ErrNotLoaded):
		return fmt.Errorf("%w: %w", shimadmin.ErrNotNow, err)
	}
	return err
}

// Progress implements [shimadmin.ReadModels].
func (m readModels) Progress() shimadmin.Progress {
	c := m.Change()
	return shimadmin.Progress{Switching: c.UnderWay, To: c.To, By: c.By, Done: c.Done, Total: c.Total, Err: c.Err}
}
