use super::TestApp;

/// Every mail that was sent so far, as text.
pub fn all_mails(app: &TestApp) -> Vec<String> {
    let files = std::fs::read_dir(&app.mail.mail_folder).into_iter().flatten().filter_map(Result::ok);
    let emls = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "eml"));
    // Long lines are folded in transfer.
    emls.map(|file| std::fs::read_to_string(file.path()).unwrap().replace("=\r\n", "").replace("=3D", "=")).collect()
}
