//! A bar chart in SVG: one group of bars for each shape of call, one bar for each path. Knows no measurement.

use std::fmt::Write as _;

/// Width of the picture, and heights of a bar and of the space between groups, in pixels.
const WIDTH: f64 = 760.0;
const BAR: f64 = 16.0;
const GAP: f64 = 22.0;

/// Where bars begin and the longest ends; numbers stand behind them.
const LEFT: f64 = 90.0;
const RIGHT: f64 = 640.0;

/// Fills by the position of a bar in its group, readable on white and on black.
const FILLS: [&str; 4] = ["#7a869a", "#0b84a5", "#c2703d", "#8a6bbe"];

/// Bars of one group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) title: String,
    /// Name and value of each bar.
    pub(crate) bars: Vec<Bar>,
}

/// One bar.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
}

/// Draws the groups below each other, each with a scale of its own, since they differ by orders of magnitude.
pub(crate) fn bars(title: &str, unit: &str, groups: &[Group]) -> String {
    let mut body = String::new();
    let mut top = 40.0;
    for group in groups {
        let most = group.bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
        let _ =
            writeln!(body, r#"<text x="8" y="{:.0}" font-weight="bold">{}</text>"#, top + 12.0, group.title);
        top += GAP;
        for (bar, fill) in group.bars.iter().zip(FILLS.iter().cycle()) {
            let width = (RIGHT - LEFT) * bar.value / most;
            let (middle, end) = (top + BAR - 4.0, LEFT + width + 6.0);
            let _ = writeln!(
                body,
                r#"<text x="{:.0}" y="{middle:.0}" text-anchor="end">{}</text>"#,
                LEFT - 6.0,
                bar.name
            );
            let _ = writeln!(
                body,
                r#"<rect x="{LEFT:.0}" y="{top:.0}" width="{width:.1}" height="{:.0}" fill="{fill}"/>"#,
                BAR - 3.0
            );
            let _ = writeln!(body, r#"<text x="{end:.0}" y="{middle:.0}">{:.1} {unit}</text>"#, bar.value);
            top += BAR;
        }
        top += GAP / 2.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {top:.0}\" role=\"img\" aria-label=\"{title}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<style>text {{ fill: #222 }} @media (prefers-color-scheme: dark) \
         {{ text {{ fill: #ddd }} }}</style>\n<text x=\"8\" y=\"20\" font-size=\"14\">{title}</text>\n{body}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_of_each_group_has_the_whole_width() {
        let group = |title: &str, values: [f64; 2]| Group {
            title: title.to_owned(),
            bars: values.map(|value| Bar { name: "way", value }).into(),
        };
        let text = bars("CPU", "µs", &[group("small", [1.0, 2.0]), group("large", [100.0, 400.0])]);
        assert_eq!(text.matches(r#"width="550.0""#).count(), 2, "{text}");
        assert!(text.contains(r#"width="275.0""#) && text.contains(r#"width="137.5""#), "{text}");
        assert!(text.contains("400.0 µs") && text.contains(r#"aria-label="CPU""#), "{text}");
    }
}
