//! The command `break-even`, from the command line to the report.

use super::{
    measure::{folder, without_report},
    print, stop_flag,
};
use crate::{
    cli,
    error::{Error, Kind, Result},
    report::break_even,
    run::{self, clock::Moment},
    terminal::Terminal,
};

pub(super) fn measure(asked: &cli::BreakEven, command: Vec<String>) -> Result<()> {
    let conduct = &asked.conduct;
    if let Some(out) = &conduct.out {
        without_report(out)?;
    }
    let stop = stop_flag()?;
    let started = Moment::now();
    let folder = folder(conduct, "break-even", &started)?;
    let mut terminal = Terminal::new(conduct.quiet);
    let mut finished = run::break_even::measure(asked, &started, &mut terminal, &stop)?;
    finished.run.command = command;
    let report = break_even::assemble(finished);
    break_even::write(&report, &folder)?;
    print(&break_even::summary(&report))?;
    print(&format!("\nThe report is in {}\n", folder.display()))?;
    if report.void {
        let reason = report.void_reason.unwrap_or_default();
        return Err(Error::new(Kind::Void, format!("void: {reason}")));
    }
    Ok(())
}
