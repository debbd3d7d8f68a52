package main

// repair ends what a crash has cut short, for boot scripts that start servers after
// it. What it could not end, start has logged.
func (m *certmgrDaemon) repair() error {
	if err := m.start(); err != nil {
		return err
	}
	defer m.logTo.Close()
	if err := m.keeper.Load().Repair(); err != nil {
		return fail(exTempFail, err)
	}
	return nil
}
