//! Names of conditions and the SQLSTATEs they stand for.

use crate::error::{Error, Result, state};

/// Conditions that functions of applications raise.
const CONDITIONS: &[(&str, &str)] = &[
    ("no_data", "02000"),
    ("feature_not_supported", "0A000"),
    ("invalid_role_specification", "0P000"),
    ("case_not_found", "20000"),
    ("cardinality_violation", "21000"),
    ("data_exception", "22000"),
    ("string_data_right_truncation", "22001"),
    ("numeric_value_out_of_range", "22003"),
    ("null_value_not_allowed", "22004"),
    ("invalid_datetime_format", "22007"),
    ("datetime_field_overflow", "22008"),
    ("division_by_zero", "22012"),
    ("invalid_parameter_value", "22023"),
    ("invalid_text_representation", "22P02"),
    ("integrity_constraint_violation", "23000"),
    ("restrict_violation", "23001"),
    ("not_null_violation", "23502"),
    ("foreign_key_violation", "23503"),
    ("unique_violation", "23505"),
    ("check_violation", "23514"),
    ("exclusion_violation", "23P01"),
    ("invalid_transaction_state", "25000"),
    ("read_only_sql_transaction", "25006"),
    ("triggered_data_change_violation", "27000"),
    ("invalid_authorization_specification", "28000"),
    ("serialization_failure", "40001"),
    ("deadlock_detected", "40P01"),
    ("syntax_error_or_access_rule_violation", "42000"),
    ("insufficient_privilege", "42501"),
    ("syntax_error", "42601"),
    ("datatype_mismatch", "42804"),
    ("undefined_column", "42703"),
    ("undefined_function", "42883"),
    ("undefined_table", "42P01"),
    ("undefined_object", "42704"),
    ("duplicate_object", "42710"),
    ("dependent_objects_still_exist", "2BP01"),
    ("invalid_catalog_name", "3D000"),
    ("invalid_schema_name", "3F000"),
    ("duplicate_column", "42701"),
    ("ambiguous_column", "42702"),
    ("duplicate_alias", "42712"),
    ("duplicate_function", "42723"),
    ("wrong_object_type", "42809"),
    ("invalid_foreign_key", "42830"),
    ("undefined_parameter", "42P02"),
    ("duplicate_cursor", "42P03"),
    ("duplicate_database", "42P04"),
    ("duplicate_prepared_statement", "42P05"),
    ("duplicate_schema", "42P06"),
    ("duplicate_table", "42P07"),
    ("ambiguous_parameter", "42P08"),
    ("invalid_column_reference", "42P10"),
    ("invalid_table_definition", "42P16"),
    ("invalid_object_definition", "42P17"),
    ("with_check_option_violation", "44000"),
    ("insufficient_resources", "53000"),
    ("program_limit_exceeded", "54000"),
    ("object_not_in_prerequisite_state", "55000"),
    ("object_in_use", "55006"),
    ("lock_not_available", "55P03"),
    ("operator_intervention", "57000"),
    ("query_canceled", "57014"),
    ("raise_exception", "P0001"),
    ("no_data_found", "P0002"),
    ("too_many_rows", "P0003"),
    ("assert_failure", "P0004"),
    ("internal_error", "XX000"),
];

/// The SQLSTATE of a condition's name, or of a code itself.
pub(super) fn code_of(written: &str) -> Result<String> {
    let is_code =
        written.len() == 5 && written.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    if is_code {
        return Ok(written.to_owned());
    }
    let found = CONDITIONS.iter().find(|(name, _)| *name == written);
    found.map(|(_, code)| (*code).to_owned()).ok_or_else(|| {
        let message = format!("unrecognized exception condition \"{written}\"");
        Error::client(state::UNDEFINED_OBJECT, message)
    })
}
