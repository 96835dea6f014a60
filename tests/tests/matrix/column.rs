//! A fault's tests and its cells in the matrix, written once for both.

/// Defines a column. A cell in brackets becomes a test, which tries the fault in each of the ways it names; a text says why
/// there is nothing to test.
macro_rules! column {
    (
        $(#[doc = $doc:literal])+
        $name:ident: $fault:ident, $place:expr, { $($stage:ident: $cell:tt),+ $(,)? }
    ) => {
        $(#[doc = $doc])+
        pub(crate) mod $name {
            use keywheel_fleet::matrix::{Column, Fault};

            pub(crate) const COLUMN: Column = Column {
                fault: Fault::$fault,
                module: module_path!(),
                cells: &[$((stage!($stage), cell!($cell))),+],
            };

            $(cell_test!($fault, $place, $stage, $cell);)+
        }
    };
}

/// Defines a column whose tests are made by another function than [`trial::run`](crate::trial::run).
macro_rules! column_apart {
    (
        $(#[doc = $doc:literal])+
        $name:ident: $fault:ident, $run:path, { $($stage:ident: $cell:tt),+ $(,)? }
    ) => {
        $(#[doc = $doc])+
        pub(crate) mod $name {
            use keywheel_fleet::matrix::{Column, Fault};

            pub(crate) const COLUMN: Column = Column {
                fault: Fault::$fault,
                module: module_path!(),
                cells: &[$((stage!($stage), cell!($cell))),+],
            };

            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $stage() -> Result<(), keywheel_fleet::Trouble> {
                    $run(stage!($stage)).await
                }
            )+
        }
    };
}

macro_rules! stage {
    (in_check) => {
        keywheel_fleet::matrix::Stage::Check
    };
    (in_add) => {
        keywheel_fleet::matrix::Stage::Add
    };
    (in_prove) => {
        keywheel_fleet::matrix::Stage::Prove
    };
    (in_remove) => {
        keywheel_fleet::matrix::Stage::Remove
    };
    (in_refuse) => {
        keywheel_fleet::matrix::Stage::Refuse
    };
    (in_take_back) => {
        keywheel_fleet::matrix::Stage::TakeBack
    };
}

macro_rules! cell {
    ([$($variant:ident: $ends:ident),+]) => {
        keywheel_fleet::matrix::Cell::Test(&[
            $((keywheel_fleet::matrix::Variant::$variant, keywheel_fleet::matrix::Ends::$ends)),+
        ])
    };
    ((not here, $reason:literal)) => {
        keywheel_fleet::matrix::Cell::NotHere($reason)
    };
    ($reason:literal) => {
        keywheel_fleet::matrix::Cell::CannotHappen($reason)
    };
}

macro_rules! cell_test {
    ($fault:ident, $place:expr, $stage:ident, [$($variant:ident: $ends:ident),+]) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn $stage() -> Result<(), keywheel_fleet::Trouble> {
            let runs = &[$((keywheel_fleet::matrix::Variant::$variant, keywheel_fleet::matrix::Ends::$ends)),+];
            let name = concat!(module_path!(), "::", stringify!($stage));
            crate::trial::run(name, Fault::$fault, $place, stage!($stage), runs).await
        }
    };
    ($fault:ident, $place:expr, $stage:ident, $other:tt) => {};
}
