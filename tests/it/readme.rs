//! What the README says of the settings is what there is.

use mailtrail::config::SETTINGS;

#[test]
fn the_table_of_settings_is_the_list_in_the_source() {
    let readme = include_str!("../../README.md");
    let row = |setting: &mailtrail::config::Setting| {
        let default =
            if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
        format!("| `{}` | {default} | {} |", setting.key, setting.meaning)
    };
    let expected: Vec<String> = SETTINGS.iter().map(row).collect();
    let found: Vec<&str> = readme
        .lines()
        .skip_while(|line| !line.starts_with("| setting |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert_eq!(found, expected);
}
