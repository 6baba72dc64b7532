//go:build !drill

package service

// faultPoint is a place between two steps at which a drill may end the
// process. In this binary nothing happens there.
func faultPoint(string) {}
